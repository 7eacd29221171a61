import type { Readable } from 'node:stream';
import type { RawBody, Route, ROUTES, RouteName } from '@helixcode/protocol/api/routes';
import type { UserId } from '@helixcode/protocol/ids';
import type { z } from 'zod';

type Routes = typeof ROUTES;
type Of<Name extends RouteName, Part extends keyof Route> = Routes[Name] extends Record<Part, infer Value> ? Value : undefined;

type ParamsOf<Path extends string> = Path extends `${string}:${infer Name}/${infer Rest}`
  ? { [Key in Name | keyof ParamsOf<Rest>]: string }
  : Path extends `${string}:${infer Name}`
    ? { [Key in Name]: string }
    : Record<never, string>;

/** An answer that is not JSON. */
export interface RawAnswer {
  body: Uint8Array | string | Readable;
  headers?: Record<string, string>;
}

/** A checked call of one route: what arrives has passed the route's schemas. */
export interface Call<Name extends RouteName> {
  params: ParamsOf<Routes[Name]['path']>;
  query: Of<Name, 'query'> extends z.ZodType ? z.output<Of<Name, 'query'>> : undefined;
  body: Of<Name, 'body'> extends z.ZodType ? z.output<Of<Name, 'body'>> : Of<Name, 'body'> extends RawBody ? Readable : undefined;
  user: UserId;
  /** Aborted when the caller goes away. */
  signal: AbortSignal;
  /** Value of `Last-Event-ID`, where the caller resumes a stream. */
  lastEventId: string | undefined;
}

export type Answer<Name extends RouteName> = Of<Name, 'answer'> extends z.ZodType
  ? z.input<Of<Name, 'answer'>>
  : Of<Name, 'answer'> extends RawBody
    ? RawAnswer
    : undefined;

export type Handler<Name extends RouteName> = (call: Call<Name>) => Promise<Answer<Name>>;

/** One handler per route. A subject gives its part (`Pick<Handlers, 'tasks.get' | …>`); the app must have them all. */
export type Handlers = { [Name in RouteName]: Handler<Name> };
