import { expect } from 'vitest';
import type { ModelEvent, ModelFailure } from '../src/model-port.ts';

export async function all<Value>(values: AsyncIterable<Value>): Promise<Value[]> {
  const seen: Value[] = [];
  for await (const value of values) seen.push(value);
  return seen;
}

/** The end of a stream that fails; asserts that it has one end, the last. */
export async function failureOf(events: AsyncIterable<ModelEvent>): Promise<ModelFailure> {
  const seen = await all(events);
  expect(seen.filter(({ type }) => type === 'done' || type === 'error')).toHaveLength(1);
  const last = seen.at(-1);
  expect(last?.type).toBe('error');
  return last as ModelFailure;
}
