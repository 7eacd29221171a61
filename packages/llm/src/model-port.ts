import type { CodedError } from '@helixcode/protocol/errors';

export type JsonValue = string | number | boolean | null | JsonValue[] | { [key: string]: JsonValue };
export type JsonObject = { [key: string]: JsonValue };

/**
 * What a vendor wants back unchanged with the next request (signatures of reasoning, encrypted thoughts), by vendor.
 * Opaque: kept with the part it came with, never read, never shown.
 */
export type VendorState = Record<string, JsonObject>;

export interface TextPart {
  type: 'text';
  text: string;
  vendorState?: VendorState;
}

export interface ReasoningPart {
  type: 'reasoning';
  /** Empty where a vendor keeps its thoughts to itself and sends only state. */
  text: string;
  vendorState?: VendorState;
}

export interface ImagePart {
  type: 'image';
  /** `image/png`, `image/jpeg`, `image/webp` or `image/gif`: what every vendor with images accepts. */
  mediaType: string;
  base64: string;
}

export interface ToolCallPart {
  type: 'tool_call';
  /** Unique in its message; ties the result to the call. */
  callId: string;
  tool: string;
  /** The arguments as the model wrote them: JSON if it did well, see `readArguments`. */
  argumentsText: string;
  vendorState?: VendorState;
}

export interface ToolResult {
  callId: string;
  tool: string;
  parts: (TextPart | ImagePart)[];
  isError: boolean;
}

/** How the text of a result begins whose call was done wholly, in part, or not at all, and nobody knows which. */
export const UNKNOWN_OUTCOME = 'The outcome of this call is unknown';

/** How long a vendor should keep the prompt up to and including the marked message. Ignored by vendors that cache unasked. */
export type CacheMark = '5m' | '1h';

export type SystemMessage = { role: 'system'; text: string; cache?: CacheMark };
export type UserMessage = { role: 'user'; parts: (TextPart | ImagePart)[]; cache?: CacheMark };
export type AssistantMessage = { role: 'assistant'; parts: (TextPart | ReasoningPart | ToolCallPart)[]; cache?: CacheMark };
export type ToolMessage = { role: 'tool'; results: ToolResult[]; cache?: CacheMark };
export type Message = SystemMessage | UserMessage | AssistantMessage | ToolMessage;

export interface ToolSpec {
  name: string;
  description: string;
  /** JSON Schema of an object. */
  inputSchema: JsonObject;
}

export const REASONING_EFFORTS = ['none', 'minimal', 'low', 'medium', 'high', 'xhigh'] as const;
export type ReasoningEffort = (typeof REASONING_EFFORTS)[number];

export interface ModelRequest {
  /** The vendor's own name of the model, without the provider in front. */
  model: string;
  messages: Message[];
  tools?: ToolSpec[];
  /** Whether tools may, must or must not be called, or which one must; `auto` when absent. */
  toolChoice?: 'auto' | 'required' | 'none' | { tool: string };
  /** The model's own default when absent. */
  reasoning?: ReasoningEffort;
  /** The answer is JSON of this JSON Schema. Enforced by vendors that can; see `ModelCapabilities.structuredOutput`. */
  output?: { name: string; schema: JsonObject };
  /** Upper bound of everything the model writes, thoughts included. */
  maxOutputTokens?: number;
  temperature?: number;
}

/** Tokens of one call, as the vendor counted them; 0 where it said nothing. */
export interface ModelUsage {
  /** All of the prompt, cached or not. */
  inputTokens: number;
  /** The part of `inputTokens` read from a cache. */
  cachedTokens: number;
  /** The part of `inputTokens` written to a cache. */
  cacheWriteTokens: number;
  /** All that the model wrote, thoughts included. */
  outputTokens: number;
  /** The part of `outputTokens` that is thoughts. */
  reasoningTokens: number;
}

/** Why a model stopped: finished, wants tools, hit the output limit, or was stopped by the vendor's filter. */
export type Ending = 'stop' | 'tool_calls' | 'length' | 'filtered' | 'other';

export interface ModelDone {
  type: 'done';
  ending: Ending;
  /** The whole answer, to be put into the next request as it is. */
  message: AssistantMessage;
  usage: ModelUsage;
  /** What the vendor billed or the price table says; `undefined` when the price is unknown, 0 on one's own hardware. */
  costUsd: number | undefined;
  /** What was asked for and could not be passed on, in the adapter's words. */
  warnings: string[];
  /** The answer was played from a recording: no model was asked. */
  replayed?: true;
}

export interface ModelFailure {
  type: 'error';
  error: CodedError;
  /** The text and thoughts that came before the failure; never a call: an answer that was cut orders nothing. */
  partial: AssistantMessage;
}

/**
 * A stream is any number of the first six and ends with exactly one `done` or one `error`. It never throws. `tool_call` comes only when the
 * answer is complete; the start and the deltas before it are for show.
 */
export type ModelEvent =
  | { type: 'text'; text: string }
  | { type: 'reasoning'; text: string }
  | { type: 'tool_call_start'; callId: string; tool: string }
  | { type: 'tool_call_delta'; callId: string; argumentsText: string }
  | { type: 'tool_call'; call: ToolCallPart }
  | { type: 'usage'; usage: ModelUsage; costUsd: number | undefined }
  | ModelDone
  | ModelFailure;

/** US dollars for a million tokens. */
export interface ModelPrice {
  inputUsd: number;
  outputUsd: number;
  /** Of prompt tokens read from a cache; `inputUsd` when absent. */
  cacheReadUsd?: number;
  /** Of prompt tokens written to a cache; `inputUsd` when absent. */
  cacheWriteUsd?: number;
  /** What the whole call costs when its prompt is longer than that many tokens. */
  longPrompt?: { aboveTokens: number; inputUsd: number; outputUsd: number; cacheReadUsd?: number; cacheWriteUsd?: number };
}

export interface ModelCapabilities {
  /** Whether the facts are of this very model; otherwise they are what its provider usually has. */
  isKnown: boolean;
  /** Tokens of prompt and answer together; `undefined` when unknown. */
  contextTokens: number | undefined;
  maxOutputTokens: number | undefined;
  tools: boolean;
  reasoning: boolean;
  images: boolean;
  /** `schema`: the vendor enforces the schema; `json`: it is JSON, the shape only asked for; `prompt`: only asked for. */
  structuredOutput: 'schema' | 'json' | 'prompt';
  /** `marks`: what is marked is cached; `automatic`: the vendor decides; `none`: every call pays the whole prompt. */
  promptCache: 'marks' | 'automatic' | 'none';
}

export interface ConfigReport {
  /** Empty: the provider can be used. */
  problems: CodedError[];
  /** Whether the vendor was asked to accept the key. Some list their models to anybody and then cannot tell. */
  isKeyChecked: boolean;
  /** Models this key can use, as the vendor names them. */
  models: string[];
}

/** One configured provider of models. */
export interface ModelPort {
  /** How people name it: the part before the slash in `openai/gpt-5.2`. */
  readonly provider: string;
  /** Asks a model once; nothing is retried here. Leaving the loop or aborting closes the connection to the vendor. */
  stream(request: ModelRequest, signal: AbortSignal): AsyncIterable<ModelEvent>;
  capabilities(model: string): ModelCapabilities;
  /** `undefined` when nobody said what it costs. */
  price(model: string): ModelPrice | undefined;
  /** Checks address and key with a call that costs nothing. Never throws: what is wrong is in the report. */
  validateConfig(signal: AbortSignal): Promise<ConfigReport>;
}

export const NO_USAGE: ModelUsage = { inputTokens: 0, cachedTokens: 0, cacheWriteTokens: 0, outputTokens: 0, reasoningTokens: 0 };

export function addUsage(a: ModelUsage, b: ModelUsage): ModelUsage {
  return {
    inputTokens: a.inputTokens + b.inputTokens,
    cachedTokens: a.cachedTokens + b.cachedTokens,
    cacheWriteTokens: a.cacheWriteTokens + b.cacheWriteTokens,
    outputTokens: a.outputTokens + b.outputTokens,
    reasoningTokens: a.reasoningTokens + b.reasoningTokens,
  };
}

/** The text of a message, without thoughts. */
export function textOf(message: AssistantMessage): string {
  return message.parts.map((part) => (part.type === 'text' ? part.text : '')).join('');
}

export function toolCallsOf(message: AssistantMessage): ToolCallPart[] {
  return message.parts.filter((part) => part.type === 'tool_call');
}

/** The arguments of a call, or what is wrong with them in a sentence the model can act on. No arguments at all count as `{}`. */
export function readArguments(call: ToolCallPart): { input: JsonObject } | { problem: string } {
  if (call.argumentsText.trim() === '') return { input: {} };
  try {
    const value = JSON.parse(call.argumentsText) as JsonValue;
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { input: value };
    return { problem: `the arguments of ${call.tool} must be a JSON object, not ${Array.isArray(value) ? 'an array' : typeof value}` };
  } catch (error) {
    return { problem: `the arguments of ${call.tool} are not valid JSON: ${(error as Error).message}` };
  }
}

/** Reads a stream to its end. @throws the CodedError of the stream's `error` */
export async function collect(events: AsyncIterable<ModelEvent>, onEvent?: (event: ModelEvent) => void): Promise<ModelDone> {
  for await (const event of events) {
    onEvent?.(event);
    if (event.type === 'done') return event;
    if (event.type === 'error') throw event.error;
  }
  throw new Error('a model stream ended with neither done nor error');
}
