import type { ModelUsage } from '@helixcode/llm/model-port';
import type { ErrorFact } from '@helixcode/protocol/errors';
import type { RequestId, ServerId, UserId } from '@helixcode/protocol/ids';
import type { Db } from '../db/db.ts';
import type { Budget, BudgetScope } from './budget.ts';
import type { NanoUsd } from './nano-usd.ts';

export interface NewRequest {
  id: RequestId;
  run: string | undefined;
  user: UserId;
  purpose: string;
  provider: string;
  model: string;
  /** The most it can cost; 0 for a model nobody knows the price of. */
  reservedNanoUsd: NanoUsd;
  reservedTokens: number;
  isPriced: boolean;
  server: ServerId;
  leaseMs: number;
}

/**
 * Writes a request down and sets its worst case aside in all its budgets. Inside a transaction, which the caller must undo where a budget
 * had no room: then those that had it have been charged, and the request is not there.
 *
 * @returns the budgets that had room
 *
 * Budgets are locked in the order of their keys, here and wherever they are charged, so that no two callers wait for each other.
 */
export async function reserveRequest(tx: Db, request: NewRequest, budgets: readonly Budget[]): Promise<BudgetScope[]> {
  const { rows } = await tx.query<{ scope: BudgetScope }>(
    `with wanted as (
       select scope || ':' || subject || ':' || period as key, scope, subject, period, cap_nano_usd, cap_tokens
         from (select scope, subject, cap_nano_usd, cap_tokens,
                      case per when 'day' then to_char(now() at time zone 'utc', 'YYYY-MM-DD')
                               when 'month' then to_char(now() at time zone 'utc', 'YYYY-MM')
                               else '' end as period
                 from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[])
                   as given (scope, subject, per, cap_nano_usd, cap_tokens)) as dated
     ), held as (
       insert into budget_accounts as a (key, scope, subject, period, reserved_nano_usd, reserved_tokens, cap_nano_usd, cap_tokens)
       select key, scope, subject, period, $6::bigint, $7::bigint, cap_nano_usd, cap_tokens
         from wanted
        where coalesce($6::bigint <= cap_nano_usd, true) and coalesce($7::bigint <= cap_tokens, true)
        order by key
       on conflict (key) do update
          set reserved_nano_usd = a.reserved_nano_usd + excluded.reserved_nano_usd,
              reserved_tokens = a.reserved_tokens + excluded.reserved_tokens,
              cap_nano_usd = excluded.cap_nano_usd,
              cap_tokens = excluded.cap_tokens
        where coalesce(a.spent_nano_usd + a.reserved_nano_usd + excluded.reserved_nano_usd <= excluded.cap_nano_usd, true)
          and coalesce(a.spent_tokens + a.reserved_tokens + excluded.reserved_tokens <= excluded.cap_tokens, true)
       returning key, scope
     ), written as (
       insert into requests (id, run_id, user_id, purpose, provider, model, state, accounts, reserved_nano_usd, reserved_tokens,
                             is_priced, server_id, lease_until)
       select $8, $9, $10, $11, $12, $13, 'open', (select array_agg(key order by key) from wanted), $6, $7,
              $14, $15, now() + $16 * interval '1 millisecond'
        where (select count(*) from held) = (select count(*) from wanted)
     )
     select scope from held`,
    [
      budgets.map(({ scope }) => scope),
      budgets.map(({ subject }) => subject),
      budgets.map(({ per }) => per ?? null),
      budgets.map(({ capNanoUsd }) => capNanoUsd ?? null),
      budgets.map(({ capTokens }) => capTokens ?? null),
      request.reservedNanoUsd,
      request.reservedTokens,
      request.id,
      request.run ?? null,
      request.user,
      request.purpose,
      request.provider,
      request.model,
      request.isPriced,
      request.server,
      request.leaseMs,
    ],
  );
  return rows.map(({ scope }) => scope);
}

export interface Outcome {
  state: 'done' | 'failed' | 'unknown';
  /** What the budgets are charged; absent: all that was set aside. */
  booked?: { nanoUsd: NanoUsd; tokens: number };
  usage?: ModelUsage;
  failure?: ErrorFact;
  firstPieceMs?: number;
  tookMs?: number;
}

/**
 * Books the outcome of a request and gives back what it did not need. One that was given up as unknown in the meantime is
 * corrected; one that is settled already stays as it is.
 *
 * @returns whether anything was booked
 */
export async function settleRequest(db: Db, id: RequestId, outcome: Outcome): Promise<boolean> {
  return db.tx(async (tx) => {
    // The locks first, by themselves: what charges sees the accounts as they are then, and not as they were while it waited.
    const { rowCount } = await tx.query(
      `with request as (select accounts from requests where id = $1 and state in ('open', 'unknown') for update),
            locked as (select key from budget_accounts where key in (select unnest(accounts) from request) order by key for update)
       select (select count(*) from locked) from request`,
      [id],
    );
    if (rowCount === 0) return false;
    await tx.query(
      `with before as (
         select id, state, accounts, reserved_nano_usd, reserved_tokens, coalesce(booked_nano_usd, 0) as booked_nano_usd,
                coalesce(booked_tokens, 0) as booked_tokens, coalesce($3::bigint, reserved_nano_usd) as new_nano_usd,
                coalesce($4::bigint, reserved_tokens) as new_tokens
           from requests where id = $1
       ), charged as (
         update budget_accounts a
            set reserved_nano_usd = a.reserved_nano_usd - case before.state when 'open' then before.reserved_nano_usd else 0 end,
                reserved_tokens = a.reserved_tokens - case before.state when 'open' then before.reserved_tokens else 0 end,
                spent_nano_usd = a.spent_nano_usd + new_nano_usd - before.booked_nano_usd,
                spent_tokens = a.spent_tokens + new_tokens - before.booked_tokens
           from before where a.key = any(before.accounts)
       )
       update requests r
          set state = $2, booked_nano_usd = new_nano_usd, booked_tokens = new_tokens, settled_at = now(),
              input_tokens = $5, cached_tokens = $6, cache_write_tokens = $7, output_tokens = $8, reasoning_tokens = $9,
              failure = $10, first_piece_ms = $11, took_ms = $12
         from before where r.id = before.id`,
      [
        id,
        outcome.state,
        outcome.booked?.nanoUsd ?? null,
        outcome.booked?.tokens ?? null,
        outcome.usage?.inputTokens ?? null,
        outcome.usage?.cachedTokens ?? null,
        outcome.usage?.cacheWriteTokens ?? null,
        outcome.usage?.outputTokens ?? null,
        outcome.usage?.reasoningTokens ?? null,
        outcome.failure ? JSON.stringify(outcome.failure) : null,
        outcome.firstPieceMs ?? null,
        outcome.tookMs ?? null,
      ],
    );
    return true;
  });
}

interface OpenRow {
  id: RequestId;
  accounts: string[];
  reserved_nano_usd: NanoUsd;
  reserved_tokens: number;
}

/** What an outcome changes in each of its accounts. */
interface Charge {
  accounts: string[];
  /** Given back of what was set aside. */
  reservedNanoUsd: NanoUsd;
  reservedTokens: number;
  spentNanoUsd: NanoUsd;
  spentTokens: number;
}

/**
 * Charges accounts whose requests the transaction has locked.
 *
 * A statement of its own for each step: one that locks and charges in parts of itself goes by the accounts as they were when it
 * began, where somebody else charged them while it waited for the lock.
 */
async function charge(tx: Db, charges: readonly Charge[]): Promise<void> {
  const sums = new Map<string, Omit<Charge, 'accounts'>>();
  for (const { accounts, ...one } of charges)
    for (const key of accounts) {
      const sum = sums.get(key) ?? { reservedNanoUsd: 0, reservedTokens: 0, spentNanoUsd: 0, spentTokens: 0 };
      sums.set(key, {
        reservedNanoUsd: sum.reservedNanoUsd + one.reservedNanoUsd,
        reservedTokens: sum.reservedTokens + one.reservedTokens,
        spentNanoUsd: sum.spentNanoUsd + one.spentNanoUsd,
        spentTokens: sum.spentTokens + one.spentTokens,
      });
    }
  const keys = [...sums.keys()].sort();
  // In one order for all: who waits for whom goes in no circle.
  await tx.query(`select key from budget_accounts where key = any($1) order by key for update`, [keys]);
  const of = (name: keyof Omit<Charge, 'accounts'>): number[] => keys.map((key) => sums.get(key)?.[name] ?? 0);
  await tx.query(
    `update budget_accounts a
        set reserved_nano_usd = a.reserved_nano_usd - c.reserved_nano_usd, reserved_tokens = a.reserved_tokens - c.reserved_tokens,
            spent_nano_usd = a.spent_nano_usd + c.spent_nano_usd, spent_tokens = a.spent_tokens + c.spent_tokens
       from unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
              as c (key, reserved_nano_usd, reserved_tokens, spent_nano_usd, spent_tokens)
      where a.key = c.key`,
    [keys, of('reservedNanoUsd'), of('reservedTokens'), of('spentNanoUsd'), of('spentTokens')],
  );
}

/** Says that these calls are still under way. */
export async function renewLeases(db: Db, ids: readonly RequestId[], leaseMs: number): Promise<void> {
  await db.query(`update requests set lease_until = now() + $2 * interval '1 millisecond' where id = any($1) and state = 'open'`, [
    ids,
    leaseMs,
  ]);
}

/**
 * Gives up on requests whose outcome nobody will tell: they become unknown and are booked with all that was set aside, since the
 * model may have been asked.
 *
 * @param restarted a server that begins: whatever it had under way before is among them, however long its lease
 */
export async function giveUpRequests(db: Db, restarted: ServerId | undefined): Promise<RequestId[]> {
  return db.tx(async (tx) => {
    const { rows } = await tx.query<OpenRow>(
      `select id, accounts, reserved_nano_usd, reserved_tokens from requests
        where state = 'open' and (lease_until < now() or server_id = $1)
        order by id for update skip locked`,
      [restarted ?? null],
    );
    if (rows.length === 0) return [];
    await charge(
      tx,
      rows.map((row) => ({
        accounts: row.accounts,
        reservedNanoUsd: row.reserved_nano_usd,
        reservedTokens: row.reserved_tokens,
        spentNanoUsd: row.reserved_nano_usd,
        spentTokens: row.reserved_tokens,
      })),
    );
    const ids = rows.map(({ id }) => id);
    await tx.query(
      `update requests set state = 'unknown', booked_nano_usd = reserved_nano_usd, booked_tokens = reserved_tokens, settled_at = now()
        where id = any($1)`,
      [ids],
    );
    return ids;
  });
}

export interface AccountRow {
  scope: BudgetScope;
  subject: string;
  period: string;
  spent_nano_usd: NanoUsd;
  spent_tokens: number;
  reserved_nano_usd: NanoUsd;
  reserved_tokens: number;
  cap_nano_usd: NanoUsd | null;
  cap_tokens: number | null;
}

/** How the budgets of a call stand at present; one that nothing was taken from is absent. */
export async function readAccounts(db: Db, budgets: readonly Budget[]): Promise<AccountRow[]> {
  const { rows } = await db.query<AccountRow>(
    `select a.scope, a.subject, a.period, a.spent_nano_usd, a.spent_tokens, a.reserved_nano_usd, a.reserved_tokens,
            a.cap_nano_usd, a.cap_tokens
       from unnest($1::text[], $2::text[], $3::text[]) as given (scope, subject, per)
       join budget_accounts a
         on a.key = given.scope || ':' || given.subject || ':'
                    || case per when 'day' then to_char(now() at time zone 'utc', 'YYYY-MM-DD')
                                when 'month' then to_char(now() at time zone 'utc', 'YYYY-MM')
                                else '' end
      order by a.key`,
    [budgets.map(({ scope }) => scope), budgets.map(({ subject }) => subject), budgets.map(({ per }) => per ?? null)],
  );
  return rows;
}
