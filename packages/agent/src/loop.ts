import type { JsonObject, ModelRequest } from '@helixcode/llm/model-port';
import type { ErrorCode, ErrorFact } from '@helixcode/protocol/errors';
import { COMPACT_FROM, orderCompaction } from './context/compaction.ts';
import { messagesOf } from './context/entry.ts';
import { type CallState, type Conversation, type Ending, promptTokens, workedMs } from './conversation.ts';
import { stuckIn } from './stuck.ts';
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

/** The first call that waits; with it those behind it as long as all of them only look. */
function readyCalls(calls: readonly CallState[]): CallState[] {
  const waiting = calls.filter(({ state }) => state === 'waiting');
  const firstThatActs = waiting.findIndex((call) => findTool(call.part.tool)?.effect !== 'read');
  return firstThatActs === -1 ? waiting : waiting.slice(0, Math.max(1, firstThatActs));
}

function readyCall({ part, input }: CallState): ReadyCall {
  return { callId: part.callId, tool: part.tool, input };
}

function park(code: ErrorCode, message: string, next: string): Step {
  return { do: 'park', reason: { code, message, next } };
}
