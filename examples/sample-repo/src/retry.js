import { setTimeout as sleep } from 'node:timers/promises';

/** Milliseconds before each further try: doubled every time, up to a limit. */
export function backoffMs(tries, { firstMs = 100, limitMs = 5_000 } = {}) {
  return Array.from({ length: Math.max(0, tries - 1) }, (_, index) => Math.min(firstMs * 2 ** index, limitMs));
}

/** Calls until it works, at most `tries` times; then throws what the last call threw. `isWorthwhile` may end it sooner. */
export async function retry(call, { tries = 3, firstMs, limitMs, isWorthwhile = () => true } = {}) {
  const pausesMs = backoffMs(tries, { firstMs, limitMs });
  for (let number = 1; ; number += 1) {
    try {
      return await call(number);
    } catch (error) {
      if (number >= tries || !isWorthwhile(error)) throw error;
      await sleep(pausesMs[number - 1]);
    }
  }
}

/** What `call` gives, or a rejection when it takes longer than `limitMs`; its signal is aborted then. */
export async function within(limitMs, call) {
  const control = new AbortController();
  const timer = new AbortController();
  const late = sleep(limitMs, undefined, { signal: timer.signal }).then(() => {
    control.abort();
    throw new Error(`no answer within ${limitMs} ms`);
  });
  try {
    return await Promise.race([call(control.signal), late]);
  } finally {
    late.catch(() => {});
    timer.abort();
  }
}
