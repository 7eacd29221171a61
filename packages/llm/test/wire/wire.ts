/** What a vendor's model is to answer, in no vendor's words. */
export interface Say {
  think?: string;
  text?: string;
  calls?: { id: string; tool: string; input: Record<string, unknown> }[];
  usage?: { input: number; cached: number; output: number; reasoning: number };
  stop?: 'length';
}

export const SOME_USAGE = { input: 1000, cached: 400, output: 200, reasoning: 50 };

export type Refusal = 'key' | 'model' | 'overflow' | 'rate' | 'overloaded' | 'broken' | 'credit';

/** A request as its vendor understands it. */
export interface Asked {
  model: string;
  system: string[];
  user: string[];
  images: { mediaType: string; base64: string }[];
  tools: string[];
  /** What assistants said before: text, thoughts and calls, with whatever state came back. */
  earlierCalls: { tool: string; input: unknown }[];
  results: string[];
  /** Whether an answer of a certain JSON shape was asked for, and how strictly. */
  output: 'schema' | 'json' | 'prompt' | undefined;
  maxOutputTokens: number | undefined;
  body: Record<string, unknown>;
}

/** One vendor's wire format, written after its public API reference. */
export interface Wire {
  /** The kind of provider that speaks it. */
  kind: string;
  /** What comes after the server's address. */
  basePath: string;
  contentType: string;
  /** Whether a chat goes to this path. */
  isChat(path: string): boolean;
  /** The key of a request; `undefined` for servers that know no keys. */
  keyOf?(headers: Record<string, string | string[] | undefined>): string | undefined;
  read(body: Record<string, unknown>, path: string): Asked;
  /** The pieces of an answer's stream, each sent on its own. */
  answer(say: Say, model: string): string[];
  /** A piece that is not of this format. */
  garbage: string;
  refuse(why: Refusal, model: string): { status: number; body: string; headers?: Record<string, string> };
  /** Refusals this vendor does not know, with the reason. */
  unknownRefusals?: Partial<Record<Refusal, string>>;
  /** A failure told in the middle of a stream, for vendors that can. */
  failure?: string;
  list(models: string[]): { path: string; body: string };
  /** What it cannot carry. */
  lacks?: ('reasoning' | 'images' | 'cachedTokens' | 'reasoningTokens' | 'argumentPieces')[];
}

export const sse = (value: unknown): string => `data: ${JSON.stringify(value)}\n\n`;
export const sseEvent = (type: string, value: Record<string, unknown>): string =>
  `event: ${type}\ndata: ${JSON.stringify({ type, ...value })}\n\n`;

/** A text in two pieces. */
export const halves = (text: string): string[] =>
  [text.slice(0, Math.ceil(text.length / 2)), text.slice(Math.ceil(text.length / 2))].filter((piece) => piece !== '');

export const bearer = (headers: Record<string, string | string[] | undefined>): string | undefined =>
  String(headers['authorization'] ?? '').replace(/^Bearer /, '') || undefined;

export const dataUrl = (url: string): { mediaType: string; base64: string } => {
  const match = /^data:([^;]+);base64,(.*)$/s.exec(url);
  return { mediaType: match?.[1] ?? '', base64: match?.[2] ?? '' };
};
