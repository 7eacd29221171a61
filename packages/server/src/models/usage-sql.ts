import type { Db } from '../db/db.ts';
import type { NanoUsd } from './nano-usd.ts';

export interface UsageRow {
  key: string;
  name: string | null;
  calls: number;
  failed: number;
  unknown: number;
  open: number;
  unpriced: number;
  input_tokens: number;
  cached_tokens: number;
  cache_write_tokens: number;
  output_tokens: number;
  reasoning_tokens: number;
  booked_nano_usd: NanoUsd;
  unknown_nano_usd: NanoUsd;
  reserved_nano_usd: NanoUsd;
  cap_nano_usd: NanoUsd | null;
  cap_tokens: number | null;
}

/** The dearest first. @param since `null`: the beginning of this month in UTC */
export async function sumUsage(db: Db, by: 'run' | 'user' | 'model', since: string | null): Promise<UsageRow[]> {
  const { rows } = await db.query<UsageRow>(
    `with summed as (
       select case $1 when 'run' then run_id when 'user' then user_id else provider || '/' || model end as key,
              count(*) as calls,
              count(*) filter (where state = 'failed') as failed,
              count(*) filter (where state = 'unknown') as unknown,
              count(*) filter (where state = 'open') as open,
              count(*) filter (where not is_priced) as unpriced,
              coalesce(sum(input_tokens), 0)::bigint as input_tokens,
              coalesce(sum(cached_tokens), 0)::bigint as cached_tokens,
              coalesce(sum(cache_write_tokens), 0)::bigint as cache_write_tokens,
              coalesce(sum(output_tokens), 0)::bigint as output_tokens,
              coalesce(sum(reasoning_tokens), 0)::bigint as reasoning_tokens,
              coalesce(sum(booked_nano_usd), 0)::bigint as booked_nano_usd,
              coalesce(sum(booked_nano_usd) filter (where state = 'unknown'), 0)::bigint as unknown_nano_usd,
              coalesce(sum(reserved_nano_usd) filter (where state = 'open'), 0)::bigint as reserved_nano_usd
         from requests
        where created_at >= coalesce($2::timestamptz, date_trunc('month', now() at time zone 'utc') at time zone 'utc')
          and ($1 <> 'run' or run_id is not null)
        group by 1
     )
     select summed.*, users.name, a.cap_nano_usd, a.cap_tokens
       from summed
       left join users on $1 = 'user' and users.id = summed.key
       left join budget_accounts a on $1 = 'run' and a.key = 'run:' || summed.key || ':'
      order by booked_nano_usd desc, calls desc, summed.key
      limit 1000`,
    [by, since],
  );
  return rows;
}

/** The beginning of this month in UTC, by the clock that the budgets go by. */
export async function beginningOfMonth(db: Db): Promise<Date> {
  const { rows } = await db.query<{ at: Date }>(`select date_trunc('month', now() at time zone 'utc') at time zone 'utc' as at`);
  const [row] = rows;
  if (!row) throw new Error('the database has no clock');
  return row.at;
}
