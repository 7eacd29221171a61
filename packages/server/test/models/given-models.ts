import type { ModelEvent } from '@helixcode/llm/model-port';
import type { Surroundings } from '@helixcode/llm/resilience/resilient-caller';
import { providersConfig } from '@helixcode/protocol/config/providers-config';
import { newId, type ServerId, type UserId } from '@helixcode/protocol/ids';
import type { Db } from '@helixcode/server/db/db';
import { createModelGateway, type ModelGateway } from '@helixcode/server/models/model-gateway';
import { createModelProviders, type ModelProviders } from '@helixcode/server/models/model-providers';
import { type OpenRequests, watchOpenRequests } from '@helixcode/server/models/open-requests';
import { pino } from 'pino';
import type { z } from 'zod';
import { GOOD_KEY } from '../../../llm/test/wire/wire-server.ts';

export async function givenUser(db: Db, name: string): Promise<UserId> {
  const id = newId('user');
  await db.query(`insert into users (id, name, role) values ($1, $2, 'member')`, [id, name]);
  return id;
}

export interface GivenModels {
  gateway: ModelGateway;
  providers: ModelProviders;
  open: OpenRequests;
  server: ServerId;
  /** What was logged, as it would stand in the log. */
  logged: string[];
}

/** Waits that are asked for are over at once. */
const HURRIED: Surroundings = { nowMs: () => Date.now(), random: () => 0.5, sleep: () => Promise.resolve() };

/** A gateway as the server has it, with this `providers` section. */
export async function givenModels(
  db: Db,
  config: z.input<typeof providersConfig>,
  env: Record<string, string> = { OPENAI_API_KEY: GOOD_KEY },
  folder = '/nonexistent',
): Promise<GivenModels> {
  const logged: string[] = [];
  const log = pino({ level: 'debug' }, { write: (line: string) => void logged.push(line) });
  const server = newId('server');
  const parsed = providersConfig.parse(config);
  const open = await watchOpenRequests({ db, log, server });
  const providers = createModelProviders(parsed, env, folder);
  const gateway = createModelGateway({ db, log, server, config: parsed, providers, open, surroundings: HURRIED });
  return { gateway, providers, open, server, logged };
}

export async function eventsOf(stream: AsyncIterable<ModelEvent>): Promise<ModelEvent[]> {
  const events: ModelEvent[] = [];
  for await (const event of stream) events.push(event);
  return events;
}

export interface BookedRequest {
  state: string;
  provider: string;
  model: string;
  run_id: string | null;
  booked_nano_usd: number | null;
  booked_tokens: number | null;
  reserved_nano_usd: number;
  reserved_tokens: number;
  input_tokens: number | null;
  output_tokens: number | null;
  failure: { code: string } | null;
}

export async function listRequests(db: Db): Promise<BookedRequest[]> {
  return (await db.query<BookedRequest>('select * from requests order by id')).rows;
}

export interface Account {
  scope: string;
  subject: string;
  spent_nano_usd: number;
  spent_tokens: number;
  reserved_nano_usd: number;
  reserved_tokens: number;
}

export async function listAccounts(db: Db): Promise<Account[]> {
  const { rows } = await db.query<Account>(
    'select scope, subject, spent_nano_usd, spent_tokens, reserved_nano_usd, reserved_tokens from budget_accounts order by key',
  );
  return rows;
}
