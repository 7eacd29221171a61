-- Why: what agents and people say to each other must outlive everything: each thing said or done is a row that is never
-- changed, with the one before it as its parent. A session stands at one of them; going back moves where it stands and
-- removes nothing, and a fork is a second session with a way of its own that begins the same.

create table sessions (
  id            text primary key,
  project_id    text not null references projects on delete cascade,
  -- Who pays and is asked.
  user_id       text not null references users,
  title         text not null,
  mode          text not null check (mode in ('work', 'plan')),
  base_commit   text not null,
  -- What is chosen for it: model, budget, what its worker must have, what must pass at the end.
  settings      jsonb not null,
  -- The task that does its work at present, or did it last.
  task_id       text not null references distributed_tasks on delete cascade,
  -- The entry it stands at.
  head          bigint not null default 0,
  fork_of       text,
  -- All calls of models of one run, sub-agents included, are paid from one budget: the id of its first session.
  run_id        text not null,
  created_at    timestamptz not null default now()
);
create index sessions_of_task on sessions (task_id);
create index sessions_by_time on sessions (created_at desc, id desc);

create table session_entries (
  id            bigint generated always as identity primary key,
  session_id    text not null references sessions on delete cascade,
  parent_id     bigint references session_entries on delete cascade,
  type          text not null,
  outcome       jsonb not null,
  -- What the conversation itself need not know: the attempt that calls were begun on, whether an answer was replayed.
  facts         jsonb not null default '{}',
  -- The checkpoint with the files as they were then; null: as at the entry before.
  checkpoint    jsonb,
  at            timestamptz not null default now()
);
create index session_entries_by_parent on session_entries (parent_id);
create index session_entries_of_session on session_entries (session_id);

create table approvals (
  id            text primary key,
  session_id    text not null references sessions on delete cascade,
  task_id       text not null references distributed_tasks on delete cascade,
  kind          text not null check (kind in ('question', 'plan', 'permission', 'parked')),
  -- The call, or the entry, that it belongs to: asking twice is asking once.
  key           text not null,
  question      text not null,
  details       jsonb not null default '{}',
  asked_at      timestamptz not null default now(),
  is_accepted   boolean,
  answer        text,
  answered_by   text references users,
  answered_at   timestamptz,
  unique (session_id, key),
  constraint answered_wholly check ((answered_at is null) = (is_accepted is null))
);
create index approvals_open on approvals (asked_at) where answered_at is null;


-- A job that only holds a checkout takes no slot; how many of them a worker may hold is bounded apart.
alter table distributed_tasks add column is_seat boolean not null default false;
