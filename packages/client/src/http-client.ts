import type { ParamsOf, PartOf } from '@helixcode/protocol/api/route-parts';
import { API_ROOT, ROUTE_PATHS } from '@helixcode/protocol/api/route-paths';
import type { Problem, RawBody, RouteName } from '@helixcode/protocol/api/routes';
import { CodedError, isErrorCode } from '@helixcode/protocol/errors';
import type { z } from 'zod';

export interface ClientOptions {
  /** `http://127.0.0.1:7777` */
  baseUrl: string;
  token: string;
  fetch?: typeof fetch;
}

/** What may be left out in the address may be left out here; values are what they mean, not the text they travel as. */
type QueryOf<Query extends z.ZodType> = { [Key in keyof z.input<Query>]: Key extends keyof z.output<Query> ? z.output<Query>[Key] : never };

/** A body that is not JSON goes up as it is given; a stream is sent as it comes. */
export type RawUpload = Blob | Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>;

export type CallOf<Name extends RouteName> = (keyof ParamsOf<Name> extends never ? unknown : { params: ParamsOf<Name> }) &
  (PartOf<Name, 'query'> extends z.ZodType
    ? Record<never, never> extends QueryOf<PartOf<Name, 'query'>>
      ? { query?: QueryOf<PartOf<Name, 'query'>> }
      : { query: QueryOf<PartOf<Name, 'query'>> }
    : unknown) &
  (PartOf<Name, 'body'> extends z.ZodType
    ? { body: z.input<PartOf<Name, 'body'>> }
    : PartOf<Name, 'body'> extends RawBody
      ? { body: RawUpload }
      : unknown) & { signal?: AbortSignal };

/** JSON as it is described; anything else as the response itself, to be read as text, bytes or a stream. */
export type AnswerOf<Name extends RouteName> =
  PartOf<Name, 'answer'> extends z.ZodType
    ? z.output<PartOf<Name, 'answer'>>
    : PartOf<Name, 'answer'> extends RawBody
      ? Response
      : undefined;

export interface Client {
  /**
   * Calls an operation by its name: `call('tasks.get', { params: { task: id } })`.
   *
   * @throws CodedError what the server refused it with, or `server.unreachable`
   */
  call<Name extends RouteName>(
    name: Name,
    ...call: Record<never, never> extends CallOf<Name> ? [call?: CallOf<Name>] : [call: CallOf<Name>]
  ): Promise<AnswerOf<Name>>;
}

/** What any call may have, as this module handles it. */
interface AnyCall {
  params?: Record<string, string>;
  query?: Record<string, unknown>;
  body?: unknown;
  signal?: AbortSignal;
}

/** Needs nothing but `fetch`: it runs in a browser, and loads no schemas. */
export function createClient(options: ClientOptions): Client {
  const send = options.fetch ?? fetch;
  const base = options.baseUrl.replace(/\/+$/, '');

  async function call(name: RouteName, { params = {}, query = {}, body, signal }: AnyCall = {}): Promise<unknown> {
    const { method, path } = ROUTE_PATHS[name];
    const headers: Record<string, string> = { authorization: `Bearer ${options.token}` };
    const init: RequestInit & { duplex?: 'half' } = { method, headers, ...(signal && { signal }) };
    if (isRaw(body)) {
      headers['content-type'] = 'application/octet-stream';
      init.body = body;
      if (body instanceof ReadableStream) init.duplex = 'half';
    } else if (body !== undefined) {
      headers['content-type'] = 'application/json';
      init.body = JSON.stringify(body);
    }

    try {
      const response = await send(base + API_ROOT + pathWith(path, params) + searchOf(query), init);
      if (!response.ok) throw await refusalOf(response, base);
      if (response.status === 204) return undefined;
      return isJson(response) ? await response.json() : response;
    } catch (error) {
      if (error instanceof CodedError) throw error;
      signal?.throwIfAborted();
      throw new CodedError('server.unreachable', `no server answers at ${base}${reasonOf(error)}`, {
        next: '`helix up` starts one',
        cause: error,
        details: { url: base },
      });
    }
  }

  return { call: call as Client['call'] };
}

function isRaw(body: unknown): body is RawUpload {
  return body instanceof Uint8Array || body instanceof ReadableStream || body instanceof Blob;
}

function isJson(response: Response): boolean {
  return /^application\/json\b/.test(response.headers.get('content-type') ?? '');
}

function pathWith(path: string, params: Record<string, string>): string {
  return path.replaceAll(/:([a-z]+)/g, (_, name: string) => {
    const value = params[name];
    // An empty segment would be another path; dots would be walked before the address is sent.
    if (value === undefined || value === '' || value === '.' || value === '..')
      throw new CodedError('api.bad_request', `the ${name} has no name: ${JSON.stringify(value)}`, { next: `name the ${name}` });
    return encodeURIComponent(value);
  });
}

function searchOf(query: Record<string, unknown>): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) if (value !== undefined) search.set(key, String(value));
  return search.size === 0 ? '' : `?${search}`;
}

async function refusalOf(response: Response, base: string): Promise<CodedError> {
  const isProblem = /^application\/problem\+json\b/.test(response.headers.get('content-type') ?? '');
  if (!isProblem) {
    await response.body?.cancel();
    return new CodedError(
      'server.unreachable',
      `what answers at ${base} is not a HelixCode server (${response.status} ${response.statusText})`,
      {
        next: '`helix status` tells which server is asked',
        details: { url: base },
      },
    );
  }
  const problem = (await response.json()) as Problem;
  // A newer server may know codes that we do not; the sentence is good all the same.
  const code = isErrorCode(problem.code) ? problem.code : problem.status >= 500 ? 'api.internal' : 'api.bad_request';
  return new CodedError(code, problem.detail, {
    next: problem.next,
    details: { ...problem.details, requestId: problem.requestId, ...(code !== problem.code && { code: problem.code }) },
  });
}

/** fetch says only that it failed; why, is in its cause. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  return typeof code === 'string' ? ` (${code})` : '';
}
