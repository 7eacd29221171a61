import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { freePort } from '../../packages/server/test/support/sshd.ts';

const LOWEST_PORT = 10_000;
const TRIES = 50;

/**
 * A free port that stays free while the one who listens there is dead: it lies below those that the machine gives to
 * outgoing connections, any of which may be taken at any moment.
 */
export async function lastingPort(): Promise<number> {
  const below = lowestOutgoingPort();
  for (let tries = 0; below > LOWEST_PORT && tries < TRIES; tries++) {
    const port = LOWEST_PORT + Math.floor(Math.random() * (below - LOWEST_PORT));
    if (await isFree(port)) return port;
  }
  return freePort();
}

function lowestOutgoingPort(): number {
  try {
    return Number(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').trim().split(/\s+/)[0]);
  } catch {
    return 0;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
