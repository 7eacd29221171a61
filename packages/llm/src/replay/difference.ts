import type { JsonValue } from '../model-port.ts';

/** A place where what is asked is not what was recorded. */
export interface Difference {
  /** Such as `messages.3.results.0.parts.0.text`. */
  path: string;
  /** `undefined`: there was nothing. */
  recorded: JsonValue | undefined;
  asked: JsonValue | undefined;
}

/** Walks both and tells every place where they differ, in the order of the recording. */
export function* differences(recorded: JsonValue | undefined, asked: JsonValue | undefined, path = ''): Generator<Difference> {
  if (Array.isArray(recorded) && Array.isArray(asked)) {
    for (let index = 0; index < Math.max(recorded.length, asked.length); index++) {
      yield* differences(recorded[index], asked[index], join(path, String(index)));
    }
  } else if (isObject(recorded) && isObject(asked)) {
    for (const key of new Set([...Object.keys(recorded), ...Object.keys(asked)]))
      yield* differences(recorded[key], asked[key], join(path, key));
  } else if (recorded !== asked) {
    yield { path, recorded, asked };
  }
}

/** One sentence a person can act on: where, and the first words that differ. */
export function tellDifference({ path, recorded, asked }: Difference): string {
  if (typeof recorded !== 'string' || typeof asked !== 'string') return `${path} was ${shown(recorded)} and is ${shown(asked)}`;
  let same = 0;
  while (same < recorded.length && recorded[same] === asked[same]) same++;
  const from = Math.max(0, same - 20);
  const around = (text: string): string => `"${from > 0 ? '…' : ''}${text.slice(from, same + 60)}${text.length > same + 60 ? '…' : ''}"`;
  return `${path} was ${around(recorded)} and is ${around(asked)} (from character ${same + 1})`;
}

function shown(value: JsonValue | undefined): string {
  if (value === undefined) return 'absent';
  const text = JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}

function isObject(value: JsonValue | undefined): value is { [key: string]: JsonValue } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function join(path: string, key: string): string {
  return path === '' ? key : `${path}.${key}`;
}
