import type { Readable } from 'node:stream';
import type { ParamsOf, PartOf } from '@helixcode/protocol/api/route-parts';
import type { RawBody, RouteName } from '@helixcode/protocol/api/routes';
import type { UserId } from '@helixcode/protocol/ids';
import type { z } from 'zod';

/** An answer that is not JSON. */
export interface RawAnswer {
  body: Uint8Array | string | Readable;
  headers?: Record<string, string>;
}

/** A checked call of one route: what arrives has passed the route's schemas. */
export interface Call<Name extends RouteName> {
  params: ParamsOf<Name>;
  query: PartOf<Name, 'query'> extends z.ZodType ? z.output<PartOf<Name, 'query'>> : undefined;
  body: PartOf<Name, 'body'> extends z.ZodType
    ? z.output<PartOf<Name, 'body'>>
    : PartOf<Name, 'body'> extends RawBody
      ? Readable
      : undefined;
  user: UserId;
  /** Aborted when the caller goes away. */
  signal: AbortSignal;
  /** Value of `Last-Event-ID`, where the caller resumes a stream. */
  lastEventId: string | undefined;
}

export type Answer<Name extends RouteName> =
  PartOf<Name, 'answer'> extends z.ZodType
    ? z.input<PartOf<Name, 'answer'>>
    : PartOf<Name, 'answer'> extends RawBody
      ? RawAnswer
      : undefined;

export type Handler<Name extends RouteName> = (call: Call<Name>) => Promise<Answer<Name>>;

/** One handler per route. A subject gives its part (`Pick<Handlers, 'tasks.get' | …>`); the app must have them all. */
export type Handlers = { [Name in RouteName]: Handler<Name> };
