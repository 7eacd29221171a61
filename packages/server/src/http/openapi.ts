import { STATUS_CODES } from 'node:http';
import { API_ROOT } from '@helixcode/protocol/api/route-paths';
import { pathParameters, problem, type RawBody, ROUTES, type Route, type RouteName } from '@helixcode/protocol/api/routes';
import * as views from '@helixcode/protocol/api/views';
import { ERROR_CODES, type ErrorCode } from '@helixcode/protocol/errors';
import { event } from '@helixcode/protocol/event/events';
import { taskSubmission } from '@helixcode/protocol/task/task-spec';
import { machineFacts, workerLoad } from '@helixcode/protocol/worker/capabilities';
import { z } from 'zod';

type Json = Record<string, unknown>;

/** Refusals that any operation may answer with. */
const COMMON_ERRORS: readonly ErrorCode[] = [
  'api.bad_request',
  'api.host_refused',
  'api.internal',
  'auth.token_missing',
  'auth.token_refused',
  'database.unavailable',
];

/** Schemas that clients want by name, rather than by the operation they were met in. */
const NAMED: Record<string, z.ZodType> = {
  Problem: problem,
  Failure: views.failureView,
  Attempt: views.attemptView,
  Task: views.taskView,
  TaskDetail: views.taskDetail,
  Worker: views.workerView,
  ConnectivityEvent: views.connectivityEventView,
  MachineFacts: machineFacts,
  WorkerLoad: workerLoad,
  Project: views.projectView,
  Server: views.serverView,
  Event: event,
};
const NAMED_BODIES: Record<string, z.ZodType> = { TaskSubmission: taskSubmission };

/** The description of the API, made from the route table. @see https://spec.openapis.org/oas/v3.1.1.html */
export function openApiDocument(version: string): Json {
  const operations = Object.entries(ROUTES) as [RouteName, Route][];
  const answers = componentsOf(
    NAMED,
    operations.map(([name, { answer }]) => [`${pascal(name)}Answer`, answer]),
    'output',
  );
  const bodies = componentsOf(
    NAMED_BODIES,
    operations.map(([name, { body }]) => [`${pascal(name)}Body`, body]),
    'input',
  );

  const paths: Record<string, Json> = {};
  for (const [name, route] of operations) {
    const path = `${API_ROOT}${route.path.replaceAll(/:([a-z]+)/g, '{$1}')}`;
    paths[path] ??= {};
    paths[path][route.method.toLowerCase()] = {
      operationId: name,
      tags: [route.tag],
      summary: route.summary,
      parameters: [...pathParameters(route.path).map(pathParameter), ...queryParameters(route.query), ...resumeHeader(route)],
      ...(route.body !== undefined && { requestBody: { required: true, content: contentOf(route.body, bodies.refOf) } }),
      responses: { [route.status]: success(route, answers.refOf), ...refusals(route) },
    };
  }

  return {
    openapi: '3.1.1',
    info: { title: 'HelixCode', version, license: { name: 'MIT', identifier: 'MIT' }, description: DESCRIPTION },
    servers: [{ url: '/' }],
    security: [{ token: [] }],
    tags: [...new Set(operations.map(([, { tag }]) => tag))].map((name) => ({ name })),
    paths,
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer', description: 'HELIX_TOKEN, or the content of the owner-token file' } },
      schemas: { ...answers.schemas, ...bodies.schemas },
    },
  };
}

const DESCRIPTION =
  'Live events also come over the WebSocket /api/v1/live, with the token as the sub-protocol bearer.<token> beside helix.v1. ' +
  'Every refusal is a problem document (RFC 9457) whose code is stable and whose next says what mends it.';

/** Schemas that refer to each other by name. `refOf` names a schema that is among them, as it is or under its operation. */
function componentsOf(named: Record<string, z.ZodType>, others: [string, Route['answer' | 'body']][], io: 'input' | 'output') {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(named)) registry.add(schema, { id });
  for (const [id, schema] of others) if (schema instanceof z.ZodType && !registry.has(schema)) registry.add(schema, { id });
  const address = (id: string): string => `#/components/schemas/${id}`;
  const { schemas } = z.toJSONSchema(registry, {
    target: 'draft-2020-12',
    io,
    uri: address,
    unrepresentable: 'any',
    // A newer server may add keys to its answers; a client made from this description must not break on them.
    override: ({ jsonSchema }) => {
      if (io === 'output' && jsonSchema.additionalProperties === false) delete jsonSchema.additionalProperties;
    },
  });
  return {
    schemas: Object.fromEntries(Object.entries(schemas).map(([id, { $schema: _, $id: __, ...schema }]) => [id, schema])),
    refOf: (schema: z.ZodType): Json => ({ $ref: address(registry.get(schema)?.id ?? '') }),
  };
}

function contentOf(body: z.ZodType | RawBody, refOf: (schema: z.ZodType) => Json): Json {
  if (body instanceof z.ZodType) return { 'application/json': { schema: refOf(body) } };
  // Bytes have no schema in OpenAPI 3.1; text has the simplest.
  return { [body]: body === 'application/octet-stream' ? {} : { schema: { type: 'string' } } };
}

function success({ status, answer }: Route, refOf: (schema: z.ZodType) => Json): Json {
  return { description: STATUS_CODES[status], ...(answer !== undefined && { content: contentOf(answer, refOf) }) };
}

/** One response per status, which says the codes it may carry. */
function refusals(route: Route): Json {
  const codes = new Set<ErrorCode>([...COMMON_ERRORS, ...route.errors]);
  if (route.body !== undefined) codes.add('api.media_type_unsupported').add('api.payload_too_large');
  const byStatus = Map.groupBy([...codes].sort(), (code) => ERROR_CODES[code].http);
  return Object.fromEntries(
    [...byStatus].map(([status, codes]) => [
      status,
      {
        description: codes.join(', '),
        content: {
          'application/problem+json': {
            schema: { allOf: [{ $ref: '#/components/schemas/Problem' }, { properties: { code: { enum: codes } } }] },
          },
        },
      },
    ]),
  );
}

function pathParameter(name: string): Json {
  return { name, in: 'path', required: true, schema: { type: 'string' } };
}

function queryParameters(query: z.ZodObject | undefined): Json[] {
  return Object.entries(query?.shape ?? {}).map(([name, schema]) => {
    // What a value means, not the text it travels as.
    const { $schema: _, description, ...rest } = z.toJSONSchema(schema as z.ZodType, { target: 'draft-2020-12', io: 'output' });
    const isRequired = !(schema as z.ZodType).safeParse(undefined).success;
    return { name, in: 'query', required: isRequired, ...(description !== undefined && { description }), schema: rest };
  });
}

function resumeHeader(route: Route): Json[] {
  if (route.answer !== 'text/event-stream') return [];
  return [{ name: 'Last-Event-ID', in: 'header', required: false, description: 'Resumes after this event', schema: { type: 'integer' } }];
}

/** `workers.accept-key` → `WorkersAcceptKey` */
function pascal(name: string): string {
  return name.replaceAll(/(?:^|[.-])([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
