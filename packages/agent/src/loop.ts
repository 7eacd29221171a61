import {
  addUsage,
  type JsonObject,
  type ModelDone,
  type ModelRequest,
  readArguments,
  textOf,
  toolCallsOf,
} from '@helixcode/llm/model-port';
import { ERROR_CODES, type ErrorCode, type ErrorFact } from '@helixcode/protocol/errors';
import { nearestName } from '@helixcode/protocol/nearest-name';
import { COMPACT_FROM, compact, orderCompaction } from './context/compaction.ts';
import { type Entry, messagesOf, said } from './context/entry.ts';
import { type CallState, type Conversation, type Ending, personSays, promptTokens, workedMs } from './conversation.ts';
import { checkEvidence, tellProblems } from './evidence/check-evidence.ts';
import type { Receipt } from './evidence/receipt.ts';
import type { AgentLimits } from './limits.ts';
import type { Plan } from './plan/plan.ts';
import { stuckIn, traceOf, tracesNeeded } from './stuck.ts';
import { failed, type ToolOutcome } from './tools/tool.ts';
import { findTool } from './tools/tool-set.ts';

/** A call that may be made: its arguments are of the tool's shape. */
export interface ReadyCall {
  callId: string;
  tool: string;
  input: JsonObject;
}

/** What is to be done next. Each is answered by one outcome, `run_tools` and `learn` by one for every call. */
export type Step =
  /** `basis`: how many entries the request holds; comes back with the answer. `summary`: of the entries before `cut`. */
  | { do: 'call_model'; purpose: 'turn'; request: ModelRequest; basis: number }
  | { do: 'call_model'; purpose: 'summary'; request: ModelRequest; cut: number }
  /** Several at once only where all of them only look. */
  | { do: 'run_tools'; calls: ReadyCall[] }
  /** These were begun by somebody who is gone: find out what became of them. They are not to be made again. */
  | { do: 'learn'; calls: ReadyCall[] }
  /** The model says it is done: run the commands at the files as they are, and give the receipts. */
  | { do: 'verify'; commands: string[]; claim: string }
  | { do: 'park'; reason: ErrorFact }
  | { do: 'done'; ending: Ending };

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
/** What a summary may take. */
const SUMMARY_TOKENS = 8_000;
/** Share of the context up to which a conversation that could not be summed up goes on. */
const FULL_FROM = 0.95;

/** Decides what is to be done next. Pure: the same conversation and time give the same step. */
export function nextStep(conversation: Conversation, nowMs: number): Step {
  const { ending, parked, calls, claim, settings, limits, failures, traces } = conversation;
  if (ending !== undefined) return { do: 'done', ending };
  if (parked !== undefined) return { do: 'park', reason: parked };
  const started = calls.filter(({ state }) => state === 'started');
  if (started.length > 0) return { do: 'learn', calls: started.map(readyCall) };

  if (workedMs(conversation, nowMs) >= limits.wallMs)
    return park('agent.time_spent', `the agent has been at work for ${Math.round(limits.wallMs / 60_000)} minutes`, 'give it more time');
  const ready = readyCalls(calls);
  if (ready.length > 0) return { do: 'run_tools', calls: ready.map(readyCall) };
  if (claim !== undefined) {
    if (conversation.refusedEnds >= limits.refusedEnds)
      return park(
        'agent.not_verified',
        `the agent said ${conversation.refusedEnds} times that it is done, and the checks of the project say no`,
        'tell it what to do',
      );
    return { do: 'verify', commands: settings.demand.commands, claim };
  }

  const circle = stuckIn(traces, limits.repeats);
  if (circle !== undefined) return park('agent.stuck', `the agent goes in circles: ${circle}`, 'tell it what to do');
  if (failures.empty >= limits.failures)
    return park(
      'agent.empty_answers',
      `${settings.model} answered with nothing ${failures.empty} times in a row`,
      'try another model: helix models list',
    );
  if (failures.cut >= limits.failures)
    return park(
      'agent.answer_cut',
      `the answers of ${settings.model} were cut at their limit ${failures.cut} times in a row`,
      'raise the limit of its answers, or give it a smaller goal',
    );
  if (conversation.turns >= limits.turns)
    return park('agent.turns_spent', `the agent has used all of its ${limits.turns} turns`, 'give it more turns');
  return callModel(conversation);
}

function callModel(conversation: Conversation): Step {
  const { settings, entries, failures, limits, isOverfull } = conversation;
  const tokens = promptTokens(conversation);
  // The answer needs room too, where its size is known; yet a conversation that is short is not worth summing up.
  const room = Math.max(settings.contextTokens - (settings.maxOutputTokens ?? 0), settings.contextTokens / 2);
  if (isOverfull || tokens > Math.min(settings.contextTokens * COMPACT_FROM, room)) {
    const order = failures.summary < limits.failures ? orderCompaction(entries, settings.contextTokens) : undefined;
    if (order !== undefined)
      return {
        do: 'call_model',
        purpose: 'summary',
        cut: order.cut,
        request: {
          model: settings.model,
          messages: order.messages,
          maxOutputTokens: Math.min(settings.maxOutputTokens ?? SUMMARY_TOKENS, SUMMARY_TOKENS),
        },
      };
    if (isOverfull || tokens > settings.contextTokens * FULL_FROM)
      return park(
        'agent.context_full',
        `the conversation has about ${tokens} tokens, ${settings.model} reads ${settings.contextTokens}, and it could not be summed up`,
        'go on with a model of a larger context: helix models list',
      );
  }
  return { do: 'call_model', purpose: 'turn', request: turnRequest(conversation), basis: entries.length };
}

/** The whole conversation as a request. All but the marks for caches is the request before it, with what came since. */
function turnRequest({ settings, entries }: Conversation): ModelRequest {
  const { model, system, tools, reasoning, maxOutputTokens } = settings;
  const messages = messagesOf(entries);
  const last = messages.at(-1);
  return {
    model,
    messages: [
      { role: 'system', text: system, cache: '5m' },
      ...messages.slice(0, -1),
      ...(last === undefined ? [] : [{ ...last, cache: '5m' as const }]),
    ],
    tools,
    ...(reasoning !== undefined && { reasoning }),
    ...(maxOutputTokens !== undefined && { maxOutputTokens }),
  };
}

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
      return {
        ...conversation,
        calls: conversation.calls.map((call) =>
          outcome.callIds.includes(call.part.callId) && call.state === 'waiting' ? { ...call, state: 'started' } : call,
        ),
      };
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
      add(conversation, since),
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
    if (refusedEnds >= given.limits.refusedEnds)
      return parkAt(
        { ...conversation, refusedEnds },
        {
          code: 'agent.no_plan',
          message: `${given.settings.model} ended ${refusedEnds} times without showing a plan`,
          next: 'tell it what to do',
        },
        atMs,
      );
    return add({ ...conversation, refusedEnds }, [
      said('harness', 'Show the plan with the tool plan; use ask where you need to know something.'),
    ]);
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

/** The first call that waits; with it those behind it as long as all of them only look. */
function readyCalls(calls: readonly CallState[]): CallState[] {
  const waiting = calls.filter(({ state }) => state === 'waiting');
  const firstThatActs = waiting.findIndex((call) => findTool(call.part.tool)?.effect !== 'read');
  return firstThatActs === -1 ? waiting : waiting.slice(0, Math.max(1, firstThatActs));
}

function readyCall({ part, input }: CallState): ReadyCall {
  return { callId: part.callId, tool: part.tool, input };
}

function finishCall(conversation: Conversation, callId: string, outcome: ToolOutcome, atMs: number): Conversation {
  const open = conversation.calls.find(({ part, state }) => part.callId === callId && state !== 'finished');
  if (open === undefined) return conversation;
  const { seen = [], instructedFolders = [] } = outcome;
  return settle(
    {
      ...conversation,
      calls: conversation.calls.map((call) => (call === open ? { part: call.part, input: call.input, state: 'finished', outcome } : call)),
      // Also while others are under way: the next call of this answer may need it.
      seen: { ...conversation.seen, ...Object.fromEntries(seen.map(({ path, hash }) => [path, hash])) },
      instructedFolders: [...new Set([...conversation.instructedFolders, ...instructedFolders])],
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
  const text = `The outcome of this call is unknown: ${why}. It may have been done wholly, in part, or not at all, and it is not made again by itself. Look at what is there before you go on.`;
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

function goOn({ parked: _, ending: __, ...conversation }: Conversation, atMs: number): Conversation {
  return {
    ...conversation,
    traces: [],
    failures: { model: 0, empty: 0, cut: 0, summary: 0 },
    refusedEnds: 0,
    clock: { ...conversation.clock, sinceMs: conversation.clock.sinceMs ?? atMs },
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

function park(code: ErrorCode, message: string, next: string): Step {
  return { do: 'park', reason: { code, message, next } };
}

function isRetryable(code: ErrorCode): boolean {
  return ERROR_CODES[code].retryable;
}
