import type { Duplex } from 'node:stream';
import { CodedError } from '@helixcode/protocol/errors';
import { PREAMBLE_SEARCH_BYTES } from '@helixcode/protocol/worker/preamble';

/**
 * Reads up to and including `mark`; the bytes after it stay in the stream.
 *
 * @returns the text before the mark (of the first one: a login shell's greetings), or `undefined` when the stream ended
 *   without it
 * @throws CodedError `worker.no_shell` when `PREAMBLE_SEARCH_BYTES` passed without it; what the stream broke with
 */
export async function readToMark(stream: Duplex, mark: string): Promise<string | undefined> {
  let held = Buffer.alloc(0);
  for (;;) {
    const at = held.indexOf(mark);
    if (at >= 0) {
      const rest = held.subarray(at + Buffer.byteLength(mark));
      if (rest.length > 0) stream.unshift(rest);
      return held.toString('utf8', 0, at);
    }
    if (held.length > PREAMBLE_SEARCH_BYTES)
      throw new CodedError(
        'worker.no_shell',
        `the account wrote ${held.length} bytes and none of them came from a shell that does what it is told`,
      );
    const chunk = await readChunk(stream);
    if (!chunk) return undefined;
    held = Buffer.concat([held, chunk]);
  }
}

/** @returns `undefined` at the end of the stream */
async function readChunk(stream: Duplex): Promise<Buffer | undefined> {
  for (;;) {
    const chunk = stream.read() as Buffer | null;
    if (chunk) return chunk;
    if (stream.readableEnded || stream.destroyed) {
      if (stream.errored) throw stream.errored;
      return undefined;
    }
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        for (const event of ['readable', 'end', 'close', 'error']) stream.off(event, wake);
        resolve();
      };
      for (const event of ['readable', 'end', 'close', 'error']) stream.on(event, wake);
    });
  }
}
