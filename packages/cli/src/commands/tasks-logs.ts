import { connect } from '../connect.ts';
import { streamOutput } from '../follow/stream-output.ts';
import type { HelixContext } from '../helix-context.ts';

interface Flags {
  follow?: boolean;
  stream?: string;
  attempt?: number;
}

/** What went to stdout comes on stdout, what went to stderr on stderr. */
export default async function tasksLogs(this: HelixContext, flags: Flags, task: string): Promise<void> {
  const { out } = this;
  const connection = await connect(this);
  const stop = new AbortController();
  const end = (): void => stop.abort();
  // Nothing ends but this reading: the task does not notice.
  process.once('SIGINT', end);
  this.readerGone.addEventListener('abort', end);
  const options = { untilOver: flags.follow ?? false, signal: stop.signal };
  const read = (stream: string, write: (bytes: Uint8Array) => Promise<void>): Promise<void> =>
    streamOutput(connection, { task, stream, attempt: flags.attempt }, out.format === 'text' ? write : asJson(this, stream), options);
  try {
    if (flags.stream !== undefined) await read(flags.stream, out.write);
    else await Promise.all([read('out', out.write), read('err', out.writeError)]);
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  } finally {
    process.off('SIGINT', end);
  }
  if (stop.signal.aborted && !this.readerGone.aborted) this.exitStatus = 130;
}

function asJson({ out }: HelixContext, stream: string): (bytes: Uint8Array) => Promise<void> {
  const text = new TextDecoder();
  return async (bytes) => out.json({ stream, text: text.decode(bytes, { stream: true }) });
}
