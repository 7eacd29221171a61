import { setTimeout } from 'node:timers/promises';
import { CodedError } from '@helixcode/protocol/errors';
import type { Connection } from '../connect.ts';

export interface StreamPart {
  task: string;
  /** `out`, `err` or `file:<path>`. */
  stream: string;
  /** The newest attempt when absent. */
  attempt?: number | undefined;
}

const SHORTEST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 500;

/**
 * Reads a stream from its start and hands on what comes.
 *
 * @param options.untilOver wait for more until the attempt is over; else only what there is
 * @throws CodedError `task.not_found`, `api.not_found` for a stream that the task did not leave
 */
export async function streamOutput(
  connection: Connection,
  { task, stream, attempt }: StreamPart,
  write: (bytes: Uint8Array) => Promise<void>,
  options: { untilOver: boolean; signal: AbortSignal },
): Promise<void> {
  let from = 0;
  let pauseMs = SHORTEST_PAUSE_MS;
  while (!options.signal.aborted) {
    const response = await connection.call('tasks.output', {
      params: { task },
      query: { stream, from, ...(attempt !== undefined && { attempt }) },
      signal: options.signal,
    });
    const bytes = new Uint8Array(await response.arrayBuffer());
    const next = Number(response.headers.get('helix-next-offset'));
    if (!Number.isSafeInteger(next) || next < from)
      throw new CodedError('server.unreachable', 'what answers is not a HelixCode server: its output has no offset', {
        next: 'helix status',
      });
    if (bytes.length > 0) {
      await write(bytes);
      from = next;
      pauseMs = SHORTEST_PAUSE_MS;
      if (response.headers.get('helix-over') !== 'true') continue;
    }
    if (response.headers.get('helix-over') === 'true' || !options.untilOver) return;
    // Awoken early by the end of the reading.
    await setTimeout(pauseMs, undefined, { signal: options.signal }).catch(() => {});
    pauseMs = Math.min(LONGEST_PAUSE_MS, pauseMs * 2);
  }
}
