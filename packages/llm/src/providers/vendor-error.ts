import { CodedError, type ErrorCode } from '@helixcode/protocol/errors';
import { durationMs, retryAfterMs } from '../resilience/retry-after.ts';

/** What is known of a refused or failed call, in whatever shape the vendor told it. */
export interface VendorFailure {
  /** HTTP status; absent for an error told inside a stream that began well. */
  status?: number | undefined;
  headers?: Headers | undefined;
  /** The body or the error object, as text. */
  body: string;
}

/** Whom the sentence is about. */
export interface VendorCall {
  provider: string;
  model: string;
  /** Environment variable the key is usually taken from; absent for servers without keys. */
  keyVariable?: string | undefined;
  /** How to get a model the server does not have, where that is one command. */
  getModel?: string | undefined;
  /** Never to appear in a message: the key. */
  secrets: string[];
}

/**
 * Vendors disagree on statuses (a wrong key is a 400 at Gemini and xAI, an unknown model a 400 at Mistral, a full context
 * a 400 everywhere), so their words decide first. Order matters: the more particular sentence stands above.
 */
const BY_WORDS: { code: ErrorCode; words: RegExp }[] = [
  {
    code: 'model.context_overflow',
    words:
      /context_length_exceeded|exceed_context_size|request_too_large|maximum context length|maximum prompt length|context window|prompt is too long|exceeds? (?:the )?(?:available )?context|input length (?:and `max_tokens` )?exceeds?|input token count|Range of input length|reduce the length of the (?:messages|prompt)/i,
  },
  {
    code: 'model.quota_spent',
    words:
      /insufficient_quota|insufficient[_ ]balance|insufficient credits|exceeded your current quota, please check your plan|credit balance is too low|Arrearage|used all available credits|exceeded your monthly included credits/i,
  },
  {
    code: 'model.auth_refused',
    words:
      /invalid_api_key|incorrect api key|api[_ ]key not valid|API_KEY_INVALID|invalid x-api-key|authentication_error|invalid username or password|No auth credentials|invalid authentication/i,
  },
  {
    code: 'model.unknown',
    words:
      /model_not_found|model not exist|invalid model|not a valid model|(?:requested )?model ["'`]?[^\s"'`]+["'`]? (?:does not exist|not found|is not found)|models\/\S+ is not found|not_found_error|no such model/i,
  },
  { code: 'model.overloaded', words: /overloaded|model is currently loading|is at capacity|"code":\s*"?(?:503|529)\b|"UNAVAILABLE"/i },
  { code: 'model.rate_limited', words: /rate[_ -]?limit|too many requests|RESOURCE_EXHAUSTED|Throttling|"code":\s*"?429\b/i },
  { code: 'model.vendor_failed', words: /server_error|api_error|internal server error|"code":\s*"?50\d\b/i },
];

const BY_STATUS: Record<number, ErrorCode> = {
  401: 'model.auth_refused',
  402: 'model.quota_spent',
  403: 'model.auth_refused',
  404: 'model.unknown',
  408: 'model.overloaded',
  413: 'model.context_overflow',
  429: 'model.rate_limited',
  503: 'model.overloaded',
  529: 'model.overloaded',
};

/** Turns a vendor's refusal into an error that says what to do. */
export function vendorError(failure: VendorFailure, call: VendorCall, nowMs = Date.now()): CodedError {
  const code = codeOf(failure);
  const said = redact(sentenceOf(failure.body), call.secrets);
  const waitMs = waitOf(failure, nowMs);
  return new CodedError(code, messageOf(code, call, failure.status, said, waitMs), {
    next: nextOf(code, call),
    details: {
      provider: call.provider,
      model: call.model,
      ...(failure.status !== undefined && { status: failure.status }),
      ...(waitMs !== undefined && { retryAfterMs: waitMs }),
      ...(code === 'model.context_overflow' && sizesOf(said)),
    },
  });
}

function codeOf({ status, body }: VendorFailure): ErrorCode {
  // A status that can mean one thing only is believed before words, which a proxy or a page of HTML may contain by chance.
  if (status === 401 || status === 402 || status === 529) return BY_STATUS[status] as ErrorCode;
  // Gemini says "quota" for both: a limit that names a minute, or a time to wait, is one of rate.
  if (status === 429 && /"retryDelay"|PerMinute/.test(body) && !/insufficient_quota/.test(body)) return 'model.rate_limited';
  const isClientError = status !== undefined && status >= 400 && status < 500;
  for (const { code, words } of BY_WORDS) {
    if (isClientError && (code === 'model.vendor_failed' || code === 'model.overloaded')) continue;
    if (status !== undefined && status >= 500 && !['model.overloaded', 'model.rate_limited', 'model.context_overflow'].includes(code))
      continue;
    if (words.test(body)) return code;
  }
  if (status !== undefined && BY_STATUS[status] !== undefined) return BY_STATUS[status];
  if (isClientError) return 'model.request_refused';
  return 'model.vendor_failed';
}

function messageOf(code: ErrorCode, call: VendorCall, status: number | undefined, said: string, waitMs: number | undefined): string {
  const name = `${call.provider}/${call.model}`;
  const quote = said === '' ? (status === undefined ? '' : ` (HTTP ${status})`) : `: ${said}`;
  switch (code) {
    case 'model.auth_refused':
      return `${call.provider} refused the API key${quote}`;
    case 'model.quota_spent':
      return `the account at ${call.provider} has no credit left${quote}`;
    case 'model.unknown':
      return `${call.provider} has no model ${call.model}${quote}`;
    case 'model.context_overflow':
      return `the conversation does not fit into the context of ${name}${quote}`;
    case 'model.rate_limited':
      return `${call.provider} limits the rate of calls to ${call.model}${waitMs === undefined ? '' : `, asking for ${waitMs / 1000} s`}${quote}`;
    case 'model.overloaded':
      return `${name} is overloaded${quote}`;
    case 'model.request_refused':
      return `${name} refused the request${quote}`;
    default:
      return `${call.provider} failed while answering for ${call.model}${quote}`;
  }
}

function nextOf(code: ErrorCode, call: VendorCall): string {
  const test = `helix models test --models ${call.provider}/${call.model}`;
  switch (code) {
    case 'model.auth_refused':
      return call.keyVariable === undefined
        ? `check the key of ${call.provider}, then: ${test}`
        : `set ${call.keyVariable} for the server to a valid key, then: ${test}`;
    case 'model.quota_spent':
      return `add credit to the account at ${call.provider}, or choose another model: helix models list`;
    case 'model.unknown':
      return call.getModel ?? `helix models list ${call.provider}`;
    case 'model.context_overflow':
      return 'shorten the conversation, or choose a model with a larger context: helix models list';
    case 'model.request_refused':
      return test;
    default:
      return 'try again later, or name a fallback model in helix.json';
  }
}

/** The vendor's own sentence, out of whichever envelope: `{error: {message}}`, `{message}`, `{error}`, `[{error}]`, `{detail}`, plain text. */
function sentenceOf(body: string): string {
  let told: unknown = body;
  try {
    told = JSON.parse(body);
  } catch {
    // A page of HTML tells nothing a person wants to read.
    if (/^\s*</.test(body)) return '';
  }
  for (let depth = 0; depth < 6 && typeof told === 'object' && told !== null; depth++) {
    const inner = told as Record<string, unknown>;
    told = Array.isArray(told)
      ? told[0]
      : (inner['error'] ?? inner['message'] ?? inner['detail'] ?? inner['response'] ?? inner['msg'] ?? inner['title']);
  }
  const line = (typeof told === 'string' ? told : '').replaceAll(/\s+/g, ' ').trim();
  return line.length > 300 ? `${line.slice(0, 299)}…` : line;
}

/** Takes keys out: ours wherever it stands, and what looks like one (some vendors repeat the key they refuse). */
function redact(text: string, secrets: string[]): string {
  let clean = text;
  for (const secret of secrets) if (secret.length > 3) clean = clean.replaceAll(secret, '[key]');
  return clean.replaceAll(/\b(?:sk|xai|gsk|nvapi|hf|AIza)[-_]?[A-Za-z0-9_*-]{12,}/g, '[key]');
}

/** Looked for in this order: `retry-after-ms`, `Retry-After`, Gemini's RetryInfo in the body, the reset headers of the OpenAI family. */
function waitOf({ headers, body, status }: VendorFailure, nowMs: number): number | undefined {
  const exact = headers?.get('retry-after-ms');
  if (exact && /^\d+(\.\d+)?$/.test(exact)) return Math.ceil(Number(exact));
  const standard = retryAfterMs(headers?.get('retry-after'), nowMs);
  if (standard !== undefined) return standard;
  const inBody = durationMs(/"retryDelay":\s*"([^"]+)"/.exec(body)?.[1]);
  if (inBody !== undefined || status !== 429) return inBody;
  return durationMs(headers?.get('x-ratelimit-reset-requests')) ?? durationMs(headers?.get('x-ratelimit-reset-tokens'));
}

/** The two numbers most vendors give with an overflow, the smaller being the limit. */
function sizesOf(said: string): { contextTokens?: number; promptTokens?: number } {
  const numbers = [...said.matchAll(/\b\d[\d,]{2,}\b/g)].map(([text]) => Number(text.replaceAll(',', ''))).sort((a, b) => a - b);
  const [limit, asked] = [numbers[0], numbers.at(-1)];
  if (limit === undefined || asked === undefined || limit === asked) return {};
  return { contextTokens: limit, promptTokens: asked };
}
