import { createHash } from 'node:crypto';
import { CodedError } from '@helixcode/protocol/errors';
import { z } from 'zod';
import type { JsonValue, ModelEvent, ModelRequest } from '../model-port.ts';

/** The first line of a transcript. */
const header = z
  .strictObject({
    transcript: z.literal(1),
    /** Whose answers these are; absent where no model gave them. */
    provider: z.string().optional(),
    recordedAt: z.iso.datetime().optional(),
    /** Of a transcript that somebody made up instead: what for. */
    written: z.string().min(1).optional(),
    capabilities: z.strictObject({
      contextTokens: z.number().optional(),
      maxOutputTokens: z.number().optional(),
      tools: z.boolean(),
      reasoning: z.boolean(),
      images: z.boolean(),
      structuredOutput: z.enum(['schema', 'json', 'prompt']),
    }),
  })
  .refine(
    ({ provider, recordedAt, written }) => [provider, recordedAt].every((one) => (one === undefined) === (written !== undefined)),
    'a transcript is either recorded (provider, recordedAt) or written',
  );
export type TranscriptHeader = z.infer<typeof header>;

const usage = z.strictObject({
  inputTokens: z.number(),
  cachedTokens: z.number(),
  cacheWriteTokens: z.number(),
  outputTokens: z.number(),
  reasoningTokens: z.number(),
});
const toolCall = z.strictObject({ type: z.literal('tool_call'), callId: z.string(), tool: z.string(), argumentsText: z.string() });
const part = z.union([
  z.strictObject({ type: z.literal('text'), text: z.string() }),
  z.strictObject({ type: z.literal('reasoning'), text: z.string() }),
  toolCall,
]);
const event = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('text'), text: z.string() }),
  z.strictObject({ type: z.literal('reasoning'), text: z.string() }),
  z.strictObject({ type: z.literal('tool_call_start'), callId: z.string(), tool: z.string() }),
  z.strictObject({ type: z.literal('tool_call_delta'), callId: z.string(), argumentsText: z.string() }),
  z.strictObject({ type: z.literal('tool_call'), call: toolCall }),
  z.strictObject({ type: z.literal('usage'), usage, costUsd: z.number().optional() }),
  z.strictObject({
    type: z.literal('done'),
    ending: z.enum(['stop', 'tool_calls', 'length', 'filtered', 'other']),
    message: z.strictObject({ role: z.literal('assistant'), parts: z.array(part) }),
    usage,
    costUsd: z.number().optional(),
    warnings: z.array(z.string()),
    replayed: z.literal(true).optional(),
  }),
]);
const exchange = z.strictObject({
  /** The request goes on from the exchange before: it is that one's, with its answer and these messages behind it. */
  continues: z.literal(true).optional(),
  request: z.record(z.string(), z.json()),
  events: z.array(event).refine((events) => events.at(-1)?.type === 'done', 'an answer ends with done'),
});

/** One call: what was asked, in the form it is compared in, and what came. */
export interface Exchange {
  request: NormalRequest;
  events: z.infer<typeof event>[];
}

export interface Transcript {
  header: TranscriptHeader;
  exchanges: Exchange[];
}

/** A text that differs from run to run, and what stands in its place: `{ pattern: /\d+ms/g, by: '<ms>' }`. */
export interface Rewrite {
  pattern: RegExp;
  by: string;
}

export type NormalRequest = { [key: string]: JsonValue };

/**
 * The form in which requests are kept and compared: no state of vendors, images by their hash, no cache marks (they cost money, not meaning), texts
 * rewritten. The model is left out: a recording may be played to a session that is configured with another.
 */
export function normalRequest({ model: _, ...request }: ModelRequest, rewrites: Rewrite[]): NormalRequest {
  const plain = JSON.parse(
    JSON.stringify(request, (key, value: unknown) => {
      if (key === 'vendorState' || key === 'cache') return undefined;
      if (key === 'base64' && typeof value === 'string') return `sha256:${createHash('sha256').update(value).digest('hex')}`;
      return typeof value === 'string' ? rewrite(value, rewrites) : value;
    }),
  ) as NormalRequest;
  return sorted(plain) as NormalRequest;
}

export function rewrite(text: string, rewrites: Rewrite[]): string {
  return rewrites.reduce((changed, { pattern, by }) => changed.replace(pattern, by), text);
}

/** An event as it is kept: without the state of its vendor, which nobody will ask for again. */
export function keptEvent(live: ModelEvent, rewrites: Rewrite[]): Exchange['events'][number] {
  return JSON.parse(
    JSON.stringify(live, (key, value: unknown) => {
      if (key === 'vendorState') return undefined;
      return typeof value === 'string' ? rewrite(value, rewrites) : value;
    }),
  ) as Exchange['events'][number];
}

function sorted(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, sorted(value[key] as JsonValue)]),
  );
}

/** Reads a transcript: JSON lines, the header first. @throws CodedError `model.config_invalid`, naming the line */
export function parseTranscript(text: string): Transcript {
  const [first, ...rest] = text
    .split('\n')
    .map((line, index) => ({ line, number: index + 1 }))
    .filter(({ line }) => line.trim() !== '');
  if (first === undefined) throw unreadable(1, 'it is empty');
  const exchanges: Exchange[] = [];
  const head = parseLine(header, first);
  for (const numbered of rest) {
    const { continues, request, events } = parseLine(exchange, numbered);
    const before = exchanges.at(-1);
    if (continues && before === undefined) throw unreadable(numbered.number, 'it continues an exchange, and there is none before it');
    exchanges.push({ request: continues && before ? continuing(before, request) : request, events });
  }
  return { header: head, exchanges };
}

function continuing(before: Exchange, more: NormalRequest): NormalRequest {
  const answer = before.events.flatMap((one) => (one.type === 'done' ? [sorted(one.message)] : []));
  return { ...before.request, ...more, messages: [...messagesIn(before.request), ...answer, ...messagesIn(more)] };
}

/** What a request adds to the one before and its answer; `undefined` where it is none of the same conversation. */
export function continuationOf(before: Exchange, request: NormalRequest): NormalRequest | undefined {
  const begun = messagesIn(continuing(before, {}));
  const messages = messagesIn(request);
  const isSame = (a: JsonValue, b: JsonValue): boolean => JSON.stringify(a) === JSON.stringify(b);
  const { messages: _, ...settings } = request;
  const { messages: __, ...settingsBefore } = before.request;
  if (!isSame(settings, settingsBefore) || !isSame(messages.slice(0, begun.length), begun)) return undefined;
  return { messages: messages.slice(begun.length) };
}

export function messagesIn({ messages }: NormalRequest): JsonValue[] {
  return Array.isArray(messages) ? messages : [];
}

function parseLine<Value>(schema: z.ZodType<Value>, { line, number }: { line: string; number: number }): Value {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch (error) {
    throw unreadable(number, (error as Error).message);
  }
  const read = schema.safeParse(json);
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  throw unreadable(number, `${issue?.path.join('.') || 'the line'}: ${issue?.message}`);
}

function unreadable(line: number, why: string): CodedError {
  return new CodedError('model.config_invalid', `the transcript cannot be read at line ${line}: ${why}`, {
    next: 'record it again: helix models record',
  });
}
