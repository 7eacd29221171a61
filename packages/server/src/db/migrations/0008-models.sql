-- Why: what is asked of models costs money: it is set aside before each call and booked after it, and evidence of what ran is
-- signed. Amounts are whole billionths of a US dollar, so that sums are exact.

-- What has been spent of a budget, and what is set aside for calls under way. One row per budget and period; a call locks those
-- it belongs to, so that any number of servers spend from one purse.
create table budget_accounts (
  key                text primary key,
  scope              text not null check (scope in ('run', 'user', 'fleet')),
  -- Id of the run or the user; empty for the fleet.
  subject            text not null,
  -- `2026-11` or `2026-11-21`, of UTC; empty for a run.
  period             text not null,
  spent_nano_usd     bigint not null default 0 check (spent_nano_usd >= 0),
  spent_tokens       bigint not null default 0 check (spent_tokens >= 0),
  reserved_nano_usd  bigint not null default 0 check (reserved_nano_usd >= 0),
  reserved_tokens    bigint not null default 0 check (reserved_tokens >= 0),
  -- The caps of the newest call; null: none.
  cap_nano_usd       bigint,
  cap_tokens         bigint
) with (fillfactor = 50);

-- Written before a model is asked, settled when the outcome is known. `unknown`: asked, but what came of it is not known.
create table requests (
  id                  text primary key,
  run_id              text,
  user_id             text not null references users,
  purpose             text not null,
  provider            text not null,
  model               text not null,
  state               text not null check (state in ('open', 'done', 'failed', 'unknown')),
  -- The accounts it was set aside in.
  accounts            text[] not null,
  -- The most it can cost, and the most tokens it can take.
  reserved_nano_usd   bigint not null,
  reserved_tokens     bigint not null,
  -- What the accounts were charged in the end; of an unknown one what was set aside.
  booked_nano_usd     bigint,
  booked_tokens       bigint,
  -- False where nobody knows the price of the model.
  is_priced           boolean not null,
  input_tokens        bigint,
  cached_tokens       bigint,
  cache_write_tokens  bigint,
  output_tokens       bigint,
  reasoning_tokens    bigint,
  failure             jsonb,
  -- From asking to the first piece, and to the end.
  first_piece_ms      double precision,
  took_ms             double precision,
  server_id           text not null,
  -- The server that asked prolongs it while the call is under way; afterwards nobody waits for the outcome any more.
  lease_until         timestamptz not null,
  created_at          timestamptz not null default now(),
  settled_at          timestamptz,
  constraint settled_is_booked check ((state = 'open') = (booked_nano_usd is null and booked_tokens is null and settled_at is null))
) with (fillfactor = 70);
create index requests_open on requests (lease_until) where state = 'open';
create index requests_of_run on requests (run_id, created_at) where run_id is not null;
create index requests_by_time on requests (created_at);

-- Public halves of the keys that receipts were signed with: each data folder has its own private half, in a file.
create table receipt_keys (
  id          text primary key,
  public_key  text not null,
  server_id   text not null,
  created_at  timestamptz not null default now()
);

-- Owed in the transaction in which the task completed, signed soon after. A receipt outlives its task.
create table receipts (
  id          text primary key,
  task_id     text not null,
  -- The result of the task as it was then; a task that is rolled back may complete again.
  result      jsonb,
  owed_at     timestamptz not null default now(),
  -- The canonical JSON that is signed; null until it is.
  body        text,
  signature   text,
  key_id      text references receipt_keys,
  issued_at   timestamptz,
  constraint signed_as_a_whole check ((body is null) = (signature is null) and (body is null) = (key_id is null) and (body is null) = (issued_at is null))
);
create index receipts_owed on receipts (owed_at) where body is null;
create index receipts_of_task on receipts (task_id, id desc);
