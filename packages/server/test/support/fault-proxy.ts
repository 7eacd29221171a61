import { connect, createServer, type Socket } from 'node:net';

export interface FaultProxy {
  port: number;
  /** Swallows everything in both directions and keeps the connections open. */
  blackhole(): void;
  /** Delivers what was swallowed and goes on. */
  heal(): void;
  /** Breaks all connections, as a router does that has forgotten them. */
  reset(): void;
  /** Takes no new connections. */
  refuse(isRefused: boolean): void;
  connections(): number;
  close(): Promise<void>;
}

/**
 * Stands between two ends of a TCP connection and does to them what networks do.
 *
 * @param targetPort where connections lead; as a function, where the next one does
 */
export async function givenFaultProxy(targetPort: number | (() => number)): Promise<FaultProxy> {
  const pairs = new Set<[Socket, Socket]>();
  let isBlackhole = false;
  let isRefusing = false;

  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (near) => {
    if (isRefusing) {
      near.resetAndDestroy();
      return;
    }
    const far = connect({ port: typeof targetPort === 'number' ? targetPort : targetPort(), host: '127.0.0.1', allowHalfOpen: true });
    const pair: [Socket, Socket] = [near, far];
    pairs.add(pair);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on('data', (chunk: Buffer) => {
        if (!to.write(chunk)) {
          from.pause();
          to.once('drain', () => !isBlackhole && from.resume());
        }
      });
      from.on('end', () => to.end());
      from.on('error', () => to.destroy());
      from.on('close', () => {
        to.destroy();
        pairs.delete(pair);
      });
      if (isBlackhole) from.pause();
      else from.resume();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');

  return {
    port: address.port,
    blackhole() {
      isBlackhole = true;
      for (const pair of pairs) for (const socket of pair) socket.pause();
    },
    heal() {
      isBlackhole = false;
      for (const pair of pairs) for (const socket of pair) socket.resume();
    },
    reset() {
      for (const pair of pairs) for (const socket of pair) socket.resetAndDestroy();
    },
    refuse: (refused) => void (isRefusing = refused),
    connections: () => pairs.size,
    async close() {
      for (const pair of pairs) for (const socket of pair) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
