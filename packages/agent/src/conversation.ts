import type { JsonObject, ModelUsage, ReasoningEffort, ToolCallPart, ToolSpec } from '@helixcode/llm/model-port';
import { NO_USAGE } from '@helixcode/llm/model-port';
import { CodedError, type ErrorFact } from '@helixcode/protocol/errors';
import { type Entry, said } from './context/entry.ts';
import { messageTokens, toolTokens } from './context/token-estimate.ts';
import type { EvidenceDemand } from './evidence/check-evidence.ts';
import { type AgentLimits, USUAL_LIMITS } from './limits.ts';
import type { Plan } from './plan/plan.ts';
import type { CallTrace } from './stuck.ts';
import type { ToolOutcome } from './tools/tool.ts';
import { type AgentMode, toolSpecs } from './tools/tool-set.ts';

/** What is fixed for the whole of a conversation, so that the beginning of every request is the same to the byte. */
export interface AgentSettings {
  mode: AgentMode;
  /** As its vendor names it. */
  model: string;
  system: string;
  tools: ToolSpec[];
  /** Of prompt and answer together. */
  contextTokens: number;
  reasoning?: ReasoningEffort;
  maxOutputTokens?: number;
  demand: EvidenceDemand;
}

/**
 * A call of the newest answer. `waiting`: not begun. `started`: written down before it was begun; its outcome is to be learned. `finished`: has its result.
 */
export type CallState = { part: ToolCallPart; input: JsonObject } & (
  | { state: 'waiting' | 'started' }
  | { state: 'finished'; outcome: ToolOutcome }
);

/** How it ended. `nothing_to_verify`: the project names no checks, nothing is proven. */
export interface Ending {
  text: string;
  proof: 'verified' | 'nothing_to_verify' | 'plan';
  /** Ids of the receipts that prove it. */
  receipts: string[];
  plan?: Plan;
}

/** All that is known of a run, as plain data: stored after each outcome, it goes on anywhere. */
export interface Conversation {
  form: 1;
  settings: AgentSettings;
  limits: AgentLimits;
  entries: Entry[];
  /** Of the newest answer, until all have results. */
  calls: CallState[];
  /** What a person said while calls were under way; comes right behind their results. */
  queued: Entry[];
  /** Last words, waiting for evidence. */
  claim?: string;
  ending?: Ending;
  /** Why it does not go on by itself, and what would mend it. */
  parked?: ErrorFact;
  /** Files whose whole content the model saw: hash by path, as it saw them last. */
  seen: Record<string, string>;
  instructedFolders: string[];
  traces: CallTrace[];
  turns: number;
  /** In a row. */
  failures: { model: number; empty: number; cut: number; summary: number };
  refusedEnds: number;
  /** The vendor said that the prompt was too long: sum up before the next call. */
  isOverfull: boolean;
  usage: ModelUsage;
  /** `undefined` once a call had no known price. */
  costUsd: number | undefined;
  /** Tokens of the conversation when the vendor counted them last, and of how many entries. */
  measured?: { tokens: number; entries: number };
  /** `sinceMs`: at work since then; absent while parked or ended. */
  clock: { usedMs: number; sinceMs?: number };
}

/** A message may take so much of the context: the rest is for the work. */
const MESSAGE_SHARE = 0.5;

export interface Beginning {
  goal: string;
  mode: AgentMode;
  model: string;
  system: string;
  contextTokens: number;
  demand: EvidenceDemand;
  reasoning?: ReasoningEffort;
  maxOutputTokens?: number;
  limits?: Partial<AgentLimits>;
  /** Folders whose instructions are in the system prompt. */
  instructedFolders?: string[];
  atMs: number;
}

/** @throws CodedError `agent.message_too_large` when the goal leaves no room for work */
export function beginConversation(given: Beginning): Conversation {
  const { goal, mode, model, system, contextTokens, demand, reasoning, maxOutputTokens, limits, instructedFolders = [], atMs } = given;
  const conversation: Conversation = {
    form: 1,
    settings: {
      mode,
      model,
      system,
      tools: toolSpecs(mode, model),
      contextTokens,
      demand,
      ...(reasoning !== undefined && { reasoning }),
      ...(maxOutputTokens !== undefined && { maxOutputTokens }),
    },
    limits: { ...USUAL_LIMITS, ...limits },
    entries: [],
    calls: [],
    queued: [],
    seen: {},
    instructedFolders,
    traces: [],
    turns: 0,
    failures: { model: 0, empty: 0, cut: 0, summary: 0 },
    refusedEnds: 0,
    isOverfull: false,
    usage: NO_USAGE,
    costUsd: 0,
    clock: { usedMs: 0, sinceMs: atMs },
  };
  return { ...conversation, entries: [personSays(conversation, goal)] };
}

/**
 * What a person said, as an entry.
 *
 * @throws CodedError `agent.message_too_large`: it is kept word for word for ever, so that it must leave room for the work
 */
export function personSays({ settings }: Conversation, text: string): Entry {
  const entry = said('person', text.toWellFormed());
  const tokens = messageTokens([entry.message]);
  const room = Math.floor(settings.contextTokens * MESSAGE_SHARE);
  if (tokens > room)
    throw new CodedError(
      'agent.message_too_large',
      `the message has about ${tokens} tokens; ${settings.model} has room for ${room} of one`,
      {
        next: 'put the text into a file of the project, and name the file',
      },
    );
  return entry;
}

/** Tokens of the next request, as well as is known: what the vendor counted, and an estimate of what came after. */
export function promptTokens({ settings, entries, measured }: Conversation): number {
  if (measured !== undefined) return measured.tokens + messageTokens(entries.slice(measured.entries).map(({ message }) => message));
  return messageTokens([{ role: 'system', text: settings.system }, ...entries.map(({ message }) => message)]) + toolTokens(settings.tools);
}

/** Time at work so far, in milliseconds. */
export function workedMs({ clock }: Conversation, nowMs: number): number {
  return clock.usedMs + (clock.sinceMs === undefined ? 0 : Math.max(0, nowMs - clock.sinceMs));
}
