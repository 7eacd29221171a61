import { CodedError, type ErrorCode } from '@helixcode/protocol/errors';
import { describe, expect, test } from 'vitest';
import { collect, type ModelEvent, textOf } from '../../src/model-port.ts';
import { type ScriptedAnswer, scriptedModel } from '../../src/providers/scripted.ts';
import { type ResilienceNotice, ResilientCaller, type Surroundings, type Target } from '../../src/resilience/resilient-caller.ts';
import { failureOf } from '../events.ts';

const never = new AbortController().signal;
const question = { messages: [{ role: 'user' as const, parts: [{ type: 'text' as const, text: 'x' }] }] };
const fault = (code: ErrorCode, details?: Record<string, unknown>): CodedError => new CodedError(code, `it is ${code}`, { details });

/** A clock that only sleeping moves. */
function givenClock(): Surroundings & { slept: number[] } {
  let nowMs = 0;
  const slept: number[] = [];
  return {
    slept,
    nowMs: () => nowMs,
    random: () => 1,
    sleep(ms, signal) {
      signal.throwIfAborted();
      slept.push(ms);
      nowMs += ms;
      return Promise.resolve();
    },
  };
}

type ScriptedTarget = Target & { port: ReturnType<typeof scriptedModel> };

function target(
  name: string,
  script: ScriptedAnswer[],
  limits: Pick<Target, 'requestsPerMinute' | 'tokensPerMinute'> = {},
): ScriptedTarget {
  return { port: scriptedModel(script, name), model: 'm', ...limits };
}

describe('retrying', () => {
  test('what may pass is tried again, after doubling waits', async () => {
    const clock = givenClock();
    const model = target('a', [fault('model.overloaded'), fault('model.stream_cut'), { text: 'at last' }]);

    const { message } = await collect(new ResilientCaller(clock).stream([model], question, never));

    expect(textOf(message)).toBe('at last');
    expect(clock.slept).toEqual([1000, 2000]);
  });

  test("a vendor's own wish goes before our schedule", async () => {
    const clock = givenClock();

    await collect(
      new ResilientCaller(clock).stream(
        [target('a', [fault('model.rate_limited', { retryAfterMs: 7000 }), { text: 'ok' }])],
        question,
        never,
      ),
    );

    expect(clock.slept).toEqual([7000]);
  });

  test('a vendor that wants more patience than there is, is not waited for', async () => {
    const clock = givenClock();
    const model = target('a', [fault('model.rate_limited', { retryAfterMs: 3_600_000 }), { text: 'never' }]);

    const { error } = await failureOf(new ResilientCaller(clock).stream([model], question, never));

    expect(error.code).toBe('model.rate_limited');
    expect(clock.slept).toEqual([]);
  });

  test.each(['model.auth_refused', 'model.unknown', 'model.context_overflow', 'model.request_refused', 'model.quota_spent'] as const)(
    '%s is not tried again',
    async (code) => {
      const model = target('a', [fault(code), { text: 'never' }]);

      expect((await failureOf(new ResilientCaller(givenClock()).stream([model], question, never))).error.code).toBe(code);
      expect(model.port.asked).toHaveLength(1);
    },
  );

  test('an answer that broke after its first piece is not begun anew behind the back of the reader', async () => {
    const broken = target('a', []);
    broken.port.stream = async function* (): AsyncGenerator<ModelEvent> {
      yield { type: 'text', text: 'half' };
      yield { type: 'error', error: fault('model.stream_cut'), partial: { role: 'assistant', parts: [{ type: 'text', text: 'half' }] } };
    };
    const spare = target('b', [{ text: 'whole' }]);

    const { error } = await failureOf(new ResilientCaller(givenClock()).stream([broken, spare], question, never));

    expect(error.code).toBe('model.stream_cut');
    expect(spare.port.asked).toEqual([]);
  });

  test('a cancelled wait ends at once, as cancelled', async () => {
    const stop = new AbortController();
    const clock = givenClock();
    const model = target('a', [fault('model.overloaded'), { text: 'never' }]);

    const { error } = await failureOf(new ResilientCaller(clock).stream([model], question, stop.signal, () => stop.abort()));

    expect(error.code).toBe('model.cancelled');
  });
});

describe('falling back', () => {
  test('the next target answers when one is overloaded for good, and people are told', async () => {
    const notices: ResilienceNotice[] = [];
    const tired = target(
      'a',
      Array.from({ length: 9 }, () => fault('model.overloaded')),
    );

    const { message } = await collect(
      new ResilientCaller(givenClock()).stream([tired, target('b', [{ text: 'from b' }])], question, never, (notice) =>
        notices.push(notice),
      ),
    );

    expect(textOf(message)).toBe('from b');
    expect(tired.port.asked).toHaveLength(4);
    expect(notices.at(-1)).toMatchObject({ type: 'falls_back', from: 'a/m', to: 'b/m', error: { code: 'model.overloaded' } });
  });

  test.each(['model.context_overflow', 'model.request_refused', 'model.cancelled'] as const)(
    '%s is the same everywhere: no other model is asked',
    async (code) => {
      const spare = target('b', [{ text: 'never' }]);

      expect(
        (await failureOf(new ResilientCaller(givenClock()).stream([target('a', [fault(code)]), spare], question, never))).error.code,
      ).toBe(code);
      expect(spare.port.asked).toEqual([]);
    },
  );

  test('a model that keeps failing is left alone for a while, then tried again', async () => {
    const clock = givenClock();
    const caller = new ResilientCaller(clock, {
      retry: { attempts: 1, firstWaitMs: 1, longestWaitMs: 1 },
      breaker: { failures: 2, restMs: 10_000, longestRestMs: 10_000 },
    });
    const sick = target('a', [fault('model.vendor_failed'), fault('model.vendor_failed'), { text: 'well again' }]);
    const ask = async (): Promise<string> =>
      textOf((await collect(caller.stream([sick, target('b', [{ text: 'from b' }])], question, never))).message);

    expect([await ask(), await ask(), await ask()]).toEqual(['from b', 'from b', 'from b']);
    expect(sick.port.asked).toHaveLength(2);
    await clock.sleep(10_000, never);
    expect(await ask()).toBe('well again');
  });
});

describe('the rate limit', () => {
  test('callers wait before the vendor would have to refuse them', async () => {
    const clock = givenClock();
    const caller = new ResilientCaller(clock);
    const model = target(
      'a',
      Array.from({ length: 4 }, () => ({ text: 'ok' })),
      { requestsPerMinute: 2 },
    );
    for (let call = 0; call < 4; call++) await collect(caller.stream([model], question, never));

    expect(clock.slept).toEqual([30_000, 30_000]);
  });

  test('an estimate that was too high is given back, one that was too low is made up for', async () => {
    const clock = givenClock();
    const caller = new ResilientCaller(clock);
    const small = target(
      'a',
      Array.from({ length: 3 }, () => ({ text: 'ok', usage: { inputTokens: 5, outputTokens: 5 } })),
      { tokensPerMinute: 2200 },
    );
    const big = target(
      'b',
      Array.from({ length: 2 }, () => ({ text: 'ok', usage: { inputTokens: 5000, outputTokens: 5000 } })),
      { tokensPerMinute: 6000 },
    );

    for (let call = 0; call < 3; call++) await collect(caller.stream([small], question, never));
    expect(clock.slept).toEqual([]);
    for (let call = 0; call < 2; call++) await collect(caller.stream([big], question, never));
    expect(clock.slept).toHaveLength(1);
  });
});
