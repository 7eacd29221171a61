import { addUsage, type ModelDone, readArguments, textOf, toolCallsOf, UNKNOWN_OUTCOME } from '@helixcode/llm/model-port';
import { ERROR_CODES, type ErrorCode, type ErrorFact } from '@helixcode/protocol/errors';
import { nearestName } from '@helixcode/protocol/nearest-name';
import { compact } from './context/compaction.ts';
import { type Entry, said } from './context/entry.ts';
import { type CallState, type Conversation, type Ending, personSays, workedMs } from './conversation.ts';
import { checkEvidence, tellProblems } from './evidence/check-evidence.ts';
import type { Receipt } from './evidence/receipt.ts';
import type { AgentLimits } from './limits.ts';
import type { Plan } from './plan/plan.ts';
import { stuckIn, traceOf, tracesNeeded } from './stuck.ts';
import { failed, type ToolOutcome } from './tools/tool.ts';
import { findTool } from './tools/tool-set.ts';

export type ModelAnswer = Pick<ModelDone, 'ending' | 'message' | 'usage' | 'costUsd'>;

/** What happened, as plain data. `atMs`: milliseconds since the epoch. */
export type Outcome = { atMs: number } & (
  | { type: 'model_answered'; basis: number; answer: ModelAnswer }
  | { type: 'summed_up'; cut: number; answer: ModelAnswer }
  | { type: 'model_failed'; purpose: 'turn' | 'summary'; error: ErrorFact }
  /** Written down before the calls are begun. */
  | { type: 'tools_started'; callIds: string[] }
  | { type: 'tool_finished'; callId: string; outcome: ToolOutcome }
  /** Whether the call did anything cannot be found out. */
  | { type: 'tool_unknown'; callId: string; why: string }
  | { type: 'evidence_given'; receipts: Receipt[]; treeHash: string }
  | { type: 'person_said'; text: string }
  | { type: 'parked'; reason: ErrorFact }
  /** A person lets it go on, perhaps further than before. */
  | { type: 'resumed'; limits?: Partial<AgentLimits> }
);

/** More calls in one answer are a fault of the model. */
const MOST_CALLS = 32;

/** Takes in what happened. Pure: conversation and outcome give the conversation after it. The outcome of a tool's call may be told twice; the first counts. */
export function takeOutcome(conversation: Conversation, outcome: Outcome): Conversation {
  switch (outcome.type) {
    case 'model_answered':
      return takeAnswer(spend(conversation, outcome.answer), outcome.basis, outcome.answer, outcome.atMs);
    case 'summed_up':
      return takeSummary(spend(conversation, outcome.answer), outcome.cut, outcome.answer);
    case 'model_failed':
      return takeFailure(conversation, outcome.purpose, outcome.error, outcome.atMs);
    case 'tools_started':
      return startCalls(conversation, outcome.callIds, outcome.atMs);
    case 'tool_finished':
      return finishCall(conversation, outcome.callId, outcome.outcome, outcome.atMs);
    case 'tool_unknown':
      return loseCall(conversation, outcome.callId, outcome.why, outcome.atMs);
    case 'evidence_given':
      return takeEvidence(conversation, outcome.receipts, outcome.treeHash, outcome.atMs);
    case 'person_said':
      return takeWord(conversation, personSays(conversation, outcome.text), outcome.atMs);
    case 'parked':
      return parkAt(conversation, outcome.reason, outcome.atMs);
    case 'resumed':
      return conversation.ending === undefined
        ? goOn({ ...conversation, limits: { ...conversation.limits, ...outcome.limits } }, outcome.atMs)
        : conversation;
  }
}

function takeAnswer(given: Conversation, basis: number, answer: ModelAnswer, atMs: number): Conversation {
  const before = given.entries.slice(0, basis);
  // Said while the model was answering: it has not read it, so that it comes behind the answer.
  const since = given.entries.slice(basis);
  const text = textOf(answer.message);
  const calls = toolCallsOf(answer.message);
  const isCut = answer.ending === 'length';
  const isRefused = answer.ending === 'filtered';
  const isEmpty = text.trim() === '' && calls.length === 0;
  // An answer that was cut orders nothing: its last call may be half of one.
  const kept =
    isCut || isRefused ? { ...answer.message, parts: answer.message.parts.filter(({ type }) => type === 'text') } : answer.message;
  const isKept = isCut || isRefused ? text.trim() !== '' : !isEmpty;
  const conversation: Conversation = {
    ...given,
    entries: [...before, ...(isKept ? [{ from: 'model' as const, message: kept }] : [])],
    turns: given.turns + 1,
    isOverfull: false,
    failures: {
      ...given.failures,
      model: 0,
      empty: isEmpty && !isCut && !isRefused ? given.failures.empty + 1 : 0,
      cut: isCut ? given.failures.cut + 1 : 0,
    },
  };
  const { inputTokens, outputTokens } = answer.usage;
  if (inputTokens > 0) conversation.measured = { tokens: inputTokens + (isKept ? outputTokens : 0), entries: conversation.entries.length };

  if (isRefused)
    return parkAt(
      // No request may end with an answer, whoever lets it go on.
      add(conversation, [...(isKept ? [said('harness', 'Your answer was stopped by the vendor of the model.')] : []), ...since]),
      {
        code: 'agent.refused',
        message: `the vendor of ${given.settings.model} stopped its answer`,
        next: 'say it otherwise, or try another model: helix models list',
      },
      atMs,
    );
  if (isCut) {
    const lost = calls.length > 0 ? ` None of its ${calls.length} calls was made.` : '';
    return add(conversation, [said('harness', `Your answer was cut at its limit.${lost} Go on in smaller steps.`), ...since]);
  }
  if (isEmpty)
    return add(conversation, [
      said('harness', 'Your answer was empty. Make a call, or say what you did if the goal is reached.'),
      ...since,
    ]);
  if (calls.length > 0)
    return settle(
      {
        ...conversation,
        calls: calls.map((part, index) => checkCall(part, index, conversation)),
        queued: [...conversation.queued, ...since],
      },
      atMs,
    );
  if (since.length > 0) return add(conversation, since);
  if (given.settings.mode === 'plan') {
    // Asking in words is no plan either; it counts as one of the ends that are not accepted.
    const refusedEnds = given.refusedEnds + 1;
    const told = add({ ...conversation, refusedEnds }, [
      said('harness', 'Show the plan with the tool plan; use ask where you need to know something.'),
    ]);
    if (refusedEnds < given.limits.refusedEnds) return told;
    const message = `${given.settings.model} ended ${refusedEnds} times without showing a plan`;
    return parkAt(told, { code: 'agent.no_plan', message, next: 'tell it what to do' }, atMs);
  }
  if (given.settings.demand.commands.length === 0) return end(conversation, { text, proof: 'nothing_to_verify', receipts: [] }, atMs);
  return { ...conversation, claim: text };
}

/** Wrong calls have their result at once: it says what is wrong. */
function checkCall(part: CallState['part'], index: number, { settings }: Conversation): CallState {
  const wrong = (problem: string): CallState => ({ part, input: {}, state: 'finished', outcome: failed(`not done: ${problem}`) });
  if (index >= MOST_CALLS) return wrong(`at most ${MOST_CALLS} calls can be in one answer`);
  const names = settings.tools.map(({ name }) => name);
  const tool = findTool(part.tool);
  if (tool === undefined || !names.includes(part.tool)) {
    const meant = nearestName(part.tool, names);
    return wrong(
      `there is no tool ${JSON.stringify(part.tool.slice(0, 80))}; ${meant === undefined ? `there are ${names.join(', ')}` : `did you mean ${meant}?`}`,
    );
  }
  const read = readArguments(part);
  if ('problem' in read) return wrong(read.problem);
  const checked = tool.check(read.input);
  return 'problem' in checked ? wrong(checked.problem) : { part, input: checked.input, state: 'waiting' };
}

function startCalls(conversation: Conversation, callIds: readonly string[], atMs: number): Conversation {
  const calls = conversation.calls.map((call): CallState => {
    const isStarted = callIds.includes(call.part.callId) && call.state === 'waiting';
    return isStarted ? { part: call.part, input: call.input, state: 'started' } : call;
  });
  const waits = calls.some(({ part, state }) => state === 'started' && findTool(part.tool)?.waitsForPerson);
  return { ...conversation, calls, ...(waits && { clock: { usedMs: workedMs(conversation, atMs) } }) };
}

function finishCall(conversation: Conversation, callId: string, outcome: ToolOutcome, atMs: number): Conversation {
  const open = conversation.calls.find(({ part, state }) => part.callId === callId && state !== 'finished');
  if (open === undefined) return conversation;
  const { seen = [], instructedFolders = [] } = outcome;
  const { parked, clock } = conversation;
  return settle(
    {
      ...conversation,
      calls: conversation.calls.map((call) => (call === open ? { part: call.part, input: call.input, state: 'finished', outcome } : call)),
      // Also while others are under way: the next call of this answer may need it.
      seen: { ...conversation.seen, ...Object.fromEntries(seen.map(({ path, hash }) => [path, hash])) },
      instructedFolders: [...new Set([...conversation.instructedFolders, ...instructedFolders])],
      // It stood while a person was waited for.
      clock: parked === undefined ? { ...clock, sinceMs: clock.sinceMs ?? atMs } : clock,
    },
    atMs,
  );
}

function loseCall(conversation: Conversation, callId: string, why: string, atMs: number): Conversation {
  const open = conversation.calls.find(({ part, state }) => part.callId === callId && state === 'started');
  if (open === undefined) return conversation;
  // A look changes nothing: it can be taken again.
  if (findTool(open.part.tool)?.effect === 'read')
    return {
      ...conversation,
      calls: conversation.calls.map((call) => (call === open ? { part: call.part, input: call.input, state: 'waiting' } : call)),
    };
  const text = `${UNKNOWN_OUTCOME}: ${why}. It may have been done wholly, in part, or not at all, and it is not made again by itself. Look at what is there before you go on.`;
  return finishCall(conversation, callId, failed(text), atMs);
}

/** Once every call has its result, the results become one message, and what people said meanwhile comes behind it. */
function settle(conversation: Conversation, atMs: number): Conversation {
  const { calls, queued, limits, settings } = conversation;
  const finished = calls.filter((call) => call.state === 'finished');
  if (finished.length < calls.length) return conversation;
  const results: Entry = {
    from: 'tools',
    message: {
      role: 'tool',
      results: finished.map(({ part, outcome }) => ({
        callId: part.callId,
        tool: part.tool,
        isError: outcome.isError,
        // Some vendors refuse a result without text.
        parts: [{ type: 'text', text: outcome.text === '' ? '(nothing)' : outcome.text }],
      })),
    },
  };
  const traces = [
    ...conversation.traces,
    ...finished.map(({ part, outcome }) => traceOf(part.tool, part.argumentsText, outcome.text)),
  ].slice(-tracesNeeded(limits.repeats));
  const accepted = settings.mode === 'plan' ? finished.find(({ outcome }) => outcome.isPlanAccepted === true) : undefined;
  const settled = add({ ...conversation, calls: [], queued: [], traces }, [results]);
  if (accepted !== undefined && queued.length === 0) {
    // The tool checked it against the schema of a plan before it was shown.
    const plan = accepted.input as unknown as Plan;
    return end(settled, { text: plan.summary, proof: 'plan', receipts: [], plan }, atMs);
  }
  const circle = limits.repeats > 2 && stuckIn(traces, limits.repeats) === undefined ? stuckIn(traces, limits.repeats - 1) : undefined;
  const warning = circle === undefined ? [] : [said('harness', `You go in circles: ${circle}. Do something else, or ask.`)];
  return add(settled, [...warning, ...queued]);
}

function takeSummary(conversation: Conversation, cut: number, answer: ModelAnswer): Conversation {
  const isWhole = answer.ending !== 'length' && answer.ending !== 'filtered';
  const entries = isWhole ? compact(conversation.entries, cut, textOf(answer.message)) : undefined;
  if (entries === undefined) return { ...conversation, failures: { ...conversation.failures, summary: conversation.failures.summary + 1 } };
  const { measured: _, ...rest } = conversation;
  return { ...rest, entries, isOverfull: false, failures: { ...conversation.failures, summary: 0 } };
}

function takeFailure(conversation: Conversation, purpose: 'turn' | 'summary', error: ErrorFact, atMs: number): Conversation {
  const isOverflow = error.code === 'model.context_overflow';
  const failures = { ...conversation.failures };
  if (purpose === 'summary' && isOverflow) failures.summary++;
  else failures.model++;
  const counted = { ...conversation, failures };
  if (isOverflow && purpose === 'turn') {
    if (failures.model >= conversation.limits.failures) return parkAt(counted, error, atMs);
    return { ...counted, isOverfull: true };
  }
  if (isOverflow) return counted;
  if (!isRetryable(error.code) || failures.model >= conversation.limits.failures) return parkAt(counted, error, atMs);
  if (error.code !== 'agent.repeats_itself') return counted;
  return add(counted, [said('harness', 'Your answer said the same over and over, and was stopped. Say each thing once, and go on.')]);
}

function takeEvidence(conversation: Conversation, receipts: Receipt[], treeHash: string, atMs: number): Conversation {
  const { claim, settings, refusedEnds } = conversation;
  if (claim === undefined) return conversation;
  const verdict = checkEvidence(settings.demand, receipts, treeHash);
  if (verdict.isAccepted) return end(conversation, { text: claim, proof: verdict.proof, receipts: verdict.receipts }, atMs);
  const { claim: _, ...open } = conversation;
  return add({ ...open, refusedEnds: refusedEnds + 1 }, [said('harness', tellProblems(verdict.problems))]);
}

/**
 * A word of a person opens what was parked or ended, makes last words that wait for evidence words like any other, and gives new tries: what went in circles
 * before it may lead somewhere now.
 */
function takeWord(conversation: Conversation, word: Entry, atMs: number): Conversation {
  const { claim: _, ...rest } = goOn(conversation, atMs);
  return rest.calls.length > 0 ? { ...rest, queued: [...rest.queued, word] } : add(rest, [word]);
}

function goOn({ parked, ending, ...conversation }: Conversation, atMs: number): Conversation {
  const isStopped = parked !== undefined || ending !== undefined;
  return {
    ...conversation,
    traces: [],
    failures: { model: 0, empty: 0, cut: 0, summary: 0 },
    refusedEnds: 0,
    ...(isStopped && { clock: { ...conversation.clock, sinceMs: atMs } }),
  };
}

function end(conversation: Conversation, ending: Ending, atMs: number): Conversation {
  const { claim: _, ...rest } = conversation;
  return { ...rest, ending, clock: { usedMs: workedMs(conversation, atMs) } };
}

function parkAt(conversation: Conversation, reason: ErrorFact, atMs: number): Conversation {
  return { ...conversation, parked: reason, clock: { usedMs: workedMs(conversation, atMs) } };
}

function add(conversation: Conversation, entries: readonly Entry[]): Conversation {
  return { ...conversation, entries: [...conversation.entries, ...entries] };
}

function spend(conversation: Conversation, { usage, costUsd }: ModelAnswer): Conversation {
  return {
    ...conversation,
    usage: addUsage(conversation.usage, usage),
    costUsd: conversation.costUsd === undefined || costUsd === undefined ? undefined : conversation.costUsd + costUsd,
  };
}

function isRetryable(code: ErrorCode): boolean {
  return ERROR_CODES[code].retryable;
}
