import { createHash } from 'node:crypto';

/** One call and what it gave, short enough to be kept for every call. */
export interface CallTrace {
  /** Tool and arguments. */
  call: string;
  /** Those and the result. */
  whole: string;
}

/** Rounds of up to so many calls are recognised. */
const LONGEST_ROUND = 4;
/** The same call may have a changing result, as a look at something that is under way: it gets so many times as many tries. */
const CHANGING_TRIES = 3;

export function traceOf(tool: string, argumentsText: string, result: string): CallTrace {
  return { call: digest(tool, argumentsText), whole: digest(tool, argumentsText, result) };
}

/** So many traces are enough to tell. */
export function tracesNeeded(repeats: number): number {
  return Math.max(LONGEST_ROUND * repeats, CHANGING_TRIES * repeats);
}

/** How an agent goes in circles, in a sentence; `undefined` while it does not. */
export function stuckIn(traces: readonly CallTrace[], repeats: number): string | undefined {
  for (let round = 1; round <= LONGEST_ROUND; round++) {
    if (
      endsInRounds(
        traces.map(({ whole }) => whole),
        round,
        repeats,
      )
    )
      return round === 1
        ? `the same call gave the same result ${repeats} times in a row`
        : `the same ${round} calls gave the same results ${repeats} times in a row`;
  }
  if (
    endsInRounds(
      traces.map(({ call }) => call),
      1,
      CHANGING_TRIES * repeats,
    )
  )
    return `the same call was made ${CHANGING_TRIES * repeats} times in a row`;
  return undefined;
}

/** Chunks of a text that are compared. */
const CHUNK_CHARACTERS = [8, 20, 50, 200, 1_000];
const CHUNK_REPEATS = 10;

/**
 * Whether a text that is being written has begun to say the same over and over: for stopping an answer before it has filled its limit.
 *
 * @returns the piece that comes again
 */
export function repeatedPiece(text: string): string | undefined {
  for (const most of CHUNK_CHARACTERS) {
    const needed = most * CHUNK_REPEATS;
    if (text.length < needed) return undefined;
    const end = text.slice(-needed);
    // A text of one period is equal to itself, moved by the period.
    for (let period = Math.floor(most / 2) + 1; period <= most; period++) {
      if (end.slice(period) !== end.slice(0, -period)) continue;
      const piece = end.slice(-period);
      // Lines of dashes and indentation are no speech.
      if (new Set(piece.replace(/\s/g, '')).size > 2) return piece;
    }
  }
  return undefined;
}

function endsInRounds(items: readonly string[], round: number, repeats: number): boolean {
  const needed = round * repeats;
  if (items.length < needed) return false;
  const end = items.slice(-needed);
  return end.every((item, index) => index < round || item === end[index - round]);
}

function digest(...parts: string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url').slice(0, 16);
}
