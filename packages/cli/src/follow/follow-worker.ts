import type { WorkerView } from '@helixcode/protocol/api/views';
import { CodedError, isErrorCode } from '@helixcode/protocol/errors';
import type { WorkerState } from '@helixcode/protocol/worker/worker-state';
import { askYesNo } from '../ask.ts';
import type { Connection } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';
import { oneLine } from '../output/text-width.ts';

/** What a worker's state means to somebody who waits for it. */
const DOING: Partial<Record<WorkerState, string>> = {
  probing: 'looking at the machine',
  installing: 'installing what the worker needs',
  connecting: 'connecting',
};

/**
 * Follows a worker that is being connected until it is up. Where its host key is unknown and a person can be asked, asks.
 *
 * @throws CodedError with the reason and what to do, where it is blocked or cannot be reached; `cli.wait_timed_out`
 */
export async function followWorker(
  context: HelixContext,
  connection: Connection,
  worker: WorkerView,
  waitMs?: number,
): Promise<WorkerView> {
  const stop = new AbortController();
  const timer =
    waitMs === undefined
      ? undefined
      : setTimeout(
          () =>
            stop.abort(
              new CodedError('cli.wait_timed_out', `worker ${worker.name} is not up after ${waitMs / 1_000} s`, {
                next: `helix workers show ${worker.name}`,
              }),
            ),
          waitMs,
        );
  const topic = `worker:${worker.id}`;
  const live = await connection.live();
  try {
    for (;;) {
      const { newest } = await connection.call('events.list', { query: { topic, limit: 1 } });
      let now = await connection.call('workers.get', { params: { worker: worker.id } });
      if (!isSettled(now.state) && !hasFailed(now.state, now.reason?.code)) {
        for await (const { body } of live.subscribe({ topic, after: newest, signal: stop.signal })) {
          if (body.type !== 'worker.moved') continue;
          const doing = DOING[body.to];
          if (doing !== undefined) context.out.note(`${worker.name}: ${doing}`);
          if (isSettled(body.to) || hasFailed(body.to, body.reason?.code)) break;
        }
        if (stop.signal.reason instanceof CodedError) throw stop.signal.reason;
        now = await connection.call('workers.get', { params: { worker: worker.id } });
      }
      if (now.state === 'up' || now.state === 'degraded') return now;
      if (now.state === 'probing' || now.state === 'installing' || now.state === 'connecting') continue;
      if (now.reason?.code !== 'worker.host_key_unknown' || !context.canAsk) throw refusalOf(now);
      await askForKey(context, connection, now);
    }
  } finally {
    clearTimeout(timer);
    live.close();
  }
}

/** Why a worker is not up, as an error: what happened, and the one command that mends it. */
export function refusalOf(worker: WorkerView): CodedError {
  const { reason, name } = worker;
  const code = reason !== undefined && isErrorCode(reason.code) ? reason.code : 'worker.unreachable';
  const unknownKey = worker.hostKeys.find((key) => !key.accepted);
  const said = reason?.message ?? `it is ${worker.state}`;
  if (code === 'worker.host_key_unknown' && unknownKey)
    return new CodedError(
      code,
      `worker ${name} shows an unknown ${unknownKey.type} key ${unknownKey.fingerprint}; compare it with the machine's own`,
      {
        next: `helix workers accept-key ${name} ${unknownKey.fingerprint}`,
      },
    );
  return new CodedError(code, `worker ${name} is not up: ${oneLine(said)}`, { next: reason?.next ?? `helix workers show ${name}` });
}

async function askForKey(context: HelixContext, connection: Connection, worker: WorkerView): Promise<void> {
  const keys = worker.hostKeys.filter((key) => !key.accepted);
  const [key] = keys;
  if (key === undefined) throw refusalOf(worker);
  context.out.note(`${worker.name} shows a host key that nobody has accepted yet:`);
  for (const { type, fingerprint } of keys) context.out.note(`  ${type}  ${fingerprint}`);
  if (!(await askYesNo(context, `Trust ${key.fingerprint}?`))) throw refusalOf(worker);
  await connection.call('workers.accept-key', { params: { worker: worker.id }, body: { fingerprint: key.fingerprint } });
}

function isSettled(state: WorkerState): boolean {
  return state === 'up' || state === 'blocked' || state === 'lost' || state === 'removed';
}

/**
 * A machine that cannot be reached is dialled again later, but nobody should wait here for that. A link that broke while it
 * was made (the worker makes room for another agent) is made again at once.
 */
function hasFailed(state: WorkerState, reasonCode: string | undefined): boolean {
  return state === 'suspect' && reasonCode !== undefined && reasonCode !== 'worker.link_lost';
}
