import type { AttemptId } from '@helixcode/protocol/ids';
import { createBatchWriter } from '../db/batch-writer.ts';
import type { JobBook, OutputPiece } from './job-book.ts';

/** Pieces of all workers share a statement; a lone one goes at once, and under load none waits longer than this. */
const WINDOW_MS = 4;
/** 64 full pieces are 4 MiB of output in one statement. */
const PIECES_AT_ONCE = 64;
/** Neighbours in one stream are joined up to this size: a row for every printed line would cost more than the line. */
const ROW_BYTES = 64 * 1024;

export interface OutputWriter {
  /** Resolves when the piece is committed. */
  add(piece: OutputPiece): Promise<void>;
  /**
   * Resolves when nothing of the attempt is under way any more, whether it was stored or not. Only then do the books say
   * where its output ends: a link that went on from an earlier answer would store bytes beside those of the one before.
   */
  settled(attempt: AttemptId): Promise<void>;
  drain(): Promise<void>;
}

/** Gathers the output of all links into few statements. */
export function createOutputWriter(book: Pick<JobBook, 'storeOutput'>): OutputWriter {
  const writer = createBatchWriter<OutputPiece>({
    windowMs: WINDOW_MS,
    maxItems: PIECES_AT_ONCE,
    flush: (pieces) => book.storeOutput(joinNeighbours(pieces)),
  });
  /** The newest write of each attempt that has one under way: writes are made in order, so it is also the last. */
  const newest = new Map<AttemptId, Promise<void>>();

  return {
    add(piece) {
      const written = writer.add(piece);
      newest.set(piece.attempt, written);
      const forget = (): void => {
        if (newest.get(piece.attempt) === written) newest.delete(piece.attempt);
      };
      written.then(forget, forget);
      return written;
    },
    async settled(attempt) {
      for (let write = newest.get(attempt); write; write = newest.get(attempt)) await write.catch(() => {});
    },
    drain: () => writer.drain(),
  };
}

/** Joins pieces that follow each other in the same stream, also where pieces of other streams stand between them. */
export function joinNeighbours(pieces: OutputPiece[]): OutputPiece[] {
  if (pieces.length < 2) return pieces;
  interface Run {
    first: OutputPiece;
    parts: Uint8Array[];
    lengthBytes: number;
  }
  const runs: Run[] = [];
  const newestOf = new Map<string, Run>();
  for (const piece of pieces) {
    const key = `${piece.attempt} ${piece.stream}`;
    const run = newestOf.get(key);
    const follows = run && run.first.offset + run.lengthBytes === piece.offset && run.lengthBytes + piece.bytes.length <= ROW_BYTES;
    if (follows) {
      run.parts.push(piece.bytes);
      run.lengthBytes += piece.bytes.length;
    } else {
      const begun: Run = { first: piece, parts: [piece.bytes], lengthBytes: piece.bytes.length };
      runs.push(begun);
      newestOf.set(key, begun);
    }
  }
  return runs.map(({ first, parts, lengthBytes }) => (parts.length === 1 ? first : { ...first, bytes: Buffer.concat(parts, lengthBytes) }));
}
