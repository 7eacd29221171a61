import type { AssistantMessage, ModelRequest } from '@helixcode/llm/model-port';
import { CodedError, type ErrorCode } from '@helixcode/protocol/errors';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { beginConversation, type Conversation } from '../src/conversation.ts';
import { nextStep, type Step } from '../src/loop.ts';
import { type Outcome, takeOutcome } from '../src/take-outcome.ts';

const call = fc.oneof(
  fc.record({ tool: fc.constantFrom('read', 'list'), input: fc.constant({ path: 'a' }) }),
  fc.record({ tool: fc.constant('shell'), input: fc.constant({ command: 'make' }) }),
  fc.record({ tool: fc.constantFrom('write', 'nothing'), input: fc.constantFrom({ path: 'a', content: 'b' }, {}, 'no object') }),
);
const answer = fc.record({
  text: fc.constantFrom('', '', 'I go on.', 'Done.'),
  calls: fc.array(call, { maxLength: 4 }),
  ending: fc.constantFrom('stop' as const, 'stop' as const, 'stop' as const, 'length' as const, 'filtered' as const),
  inputTokens: fc.constantFrom(0, 100, 9_000),
});
const seldom = <Value>(arbitrary: fc.Arbitrary<Value>): fc.Arbitrary<Value | null> =>
  fc.oneof({ weight: 7, arbitrary: fc.constant(null) }, { weight: 1, arbitrary });
/** What chance decides at each step: how the model answers, whether a call comes back, who dies, who speaks. */
const turn = fc.record({
  answer,
  failure: seldom(fc.constantFrom<ErrorCode>('model.stream_cut', 'model.context_overflow', 'model.auth_refused')),
  fate: fc.constantFrom('finished', 'finished', 'finished', 'dies', 'told twice'),
  result: fc.string({ maxLength: 3_000 }),
  word: seldom(fc.string({ minLength: 1, maxLength: 20 })),
  isProven: fc.boolean(),
});
type Turn = typeof turn extends fc.Arbitrary<infer Value> ? Value : never;

/** What a vendor would refuse. */
function checkRequest(request: ModelRequest): void {
  const [system, ...messages] = request.messages;
  expect(system?.role).toBe('system');
  for (const [index, message] of messages.entries()) {
    const before = messages[index - 1];
    if (message.role === 'tool') {
      const called = before?.role === 'assistant' ? before.parts.flatMap((part) => (part.type === 'tool_call' ? [part.callId] : [])) : [];
      expect(message.results.map(({ callId }) => callId)).toEqual(called);
      for (const { parts } of message.results) expect(parts.every((part) => part.type === 'text' && part.text !== '')).toBe(true);
    } else {
      expect(before?.role).not.toBe(message.role);
      if (before?.role === 'assistant') expect(before.parts.some(({ type }) => type === 'tool_call')).toBe(false);
      if (message.role === 'assistant')
        expect(message.parts.some((part) => part.type === 'tool_call' || (part.type === 'text' && part.text !== ''))).toBe(true);
    }
  }
  expect(messages.at(-1)?.role).not.toBe('assistant');
}

test('whatever models, commands, crashes and people do: every request is well formed, nothing that acts runs twice, people are kept word for word', () => {
  let requests = 0;
  let endings = 0;
  fc.assert(
    fc.property(fc.array(turn, { minLength: 5, maxLength: 40 }), (turns) => {
      const words = ['The goal'];
      const acted = new Map<string, number>();
      let ids = 0;
      let atMs = 0;
      let now: Conversation = beginConversation({
        goal: 'The goal',
        mode: 'work',
        model: 'm',
        system: 'You work.',
        contextTokens: 10_000,
        demand: { commands: ['check'] },
        limits: { turns: 30, repeats: 4 },
        atMs,
      });
      const take = (outcome: Outcome extends infer One ? (One extends Outcome ? Omit<One, 'atMs'> : never) : never): void => {
        const before = now;
        const stored = JSON.stringify(before);
        now = JSON.parse(JSON.stringify(takeOutcome(before, { ...outcome, atMs: (atMs += 10) } as Outcome))) as Conversation;
        expect(JSON.stringify(before)).toBe(stored);
      };
      const say = (word: string): void => {
        words.push(word);
        take({ type: 'person_said', text: word });
      };

      for (const chance of turns) {
        const step = nextStep(now, atMs);
        expect(nextStep(JSON.parse(JSON.stringify(now)) as Conversation, atMs)).toEqual(step);
        if (chance.word !== null && step.do !== 'call_model') say(chance.word);
        perform(step, chance);
      }
      const said = now.entries
        .concat(now.queued)
        .flatMap(({ from, message }) =>
          from === 'person' && message.role === 'user' ? message.parts.map((part) => (part.type === 'text' ? part.text : '')) : [],
        );
      expect(said).toEqual(words.map((word) => word.toWellFormed()));
      for (const times of acted.values()) expect(times).toBe(1);

      function perform(step: Step, { answer: given, failure, fate, result, word, isProven }: Turn): void {
        switch (step.do) {
          case 'call_model': {
            requests++;
            checkRequest(step.request);
            if (word !== null) say(word);
            if (failure !== null)
              return take({ type: 'model_failed', purpose: step.purpose, error: new CodedError(failure, failure).toFact() });
            const parts: AssistantMessage['parts'] = [
              ...(given.text === '' ? [] : [{ type: 'text' as const, text: given.text }]),
              ...given.calls.map(({ tool, input }) => ({
                type: 'tool_call' as const,
                callId: `c${++ids}`,
                tool,
                argumentsText: JSON.stringify(input),
              })),
            ];
            const usage = { inputTokens: given.inputTokens, cachedTokens: 0, cacheWriteTokens: 0, outputTokens: 10, reasoningTokens: 0 };
            const whole = { ending: given.ending, message: { role: 'assistant' as const, parts }, usage, costUsd: 0 };
            if (step.purpose === 'turn') take({ type: 'model_answered', basis: step.basis, answer: whole });
            else take({ type: 'summed_up', cut: step.cut, answer: whole });
            return;
          }
          case 'run_tools':
            if (step.calls.length > 1) for (const { tool } of step.calls) expect(['read', 'list']).toContain(tool);
            take({ type: 'tools_started', callIds: step.calls.map(({ callId }) => callId) });
            for (const { callId, tool } of step.calls) {
              if (tool === 'shell' || tool === 'write') acted.set(callId, (acted.get(callId) ?? 0) + 1);
              if (fate === 'dies') continue;
              take({ type: 'tool_finished', callId, outcome: { text: result, isError: false } });
              if (fate === 'told twice') take({ type: 'tool_finished', callId, outcome: { text: 'again', isError: false } });
            }
            return;
          case 'learn':
            for (const { callId } of step.calls) take({ type: 'tool_unknown', callId, why: 'it died' });
            return;
          case 'verify':
            return take({
              type: 'evidence_given',
              receipts: [{ id: 'r', command: 'check', exitCode: isProven ? 0 : 1, treeHash: 't' }],
              treeHash: 't',
            });
          case 'park':
            take({ type: 'parked', reason: step.reason });
            return take({ type: 'resumed', limits: { turns: 1_000 } });
          case 'done':
            endings++;
            expect(step.ending).toMatchObject({ proof: 'verified', receipts: ['r'] });
            return say('And now the next');
        }
      }
    }),
    { numRuns: 200 },
  );
  expect(requests).toBeGreaterThan(500);
  expect(endings).toBeGreaterThan(5);
}, 120_000);
