-- Why: a task can go on from where it was: snapshots of its checkout, where its next attempt begins, attempts that do not
-- count while their worker is silent, and trees that wait for a critical part.

-- The files are git objects in the project's mirror, under refs/helix/tasks/<task>/<number>.
create table task_checkpoints (
  task_id         text not null references distributed_tasks on delete cascade,
  number          int not null check (number > 0),
  attempt_id      text not null references task_attempts on delete cascade,
  cause           text not null check (cause in ('asked', 'interval', 'end')),
  name            text,
  commit_hash     text not null,
  -- Files that differ from the commit it stands on.
  files           int not null,
  bundle_bytes    bigint not null,
  took_ms         double precision not null,
  left_out        jsonb not null,
  left_out_count  int not null,
  created_at      timestamptz not null default now(),
  -- Its files are no longer kept; that it was made stays known.
  dropped_at      timestamptz,
  primary key (task_id, number)
);

-- The checkpoint at which the next attempt begins: {number, commit}; none is the commit of the job itself.
alter table distributed_tasks add column restore jsonb;
-- Of a paused task: why, and which attempt it waits for.
alter table distributed_tasks add column pause jsonb;
create index distributed_tasks_paused on distributed_tasks (root_id) where pause is not null;

-- The checkpoint this attempt began at.
alter table task_attempts add column restore jsonb;
-- Why it does not count at present: its worker fell silent, and the task went on elsewhere.
alter table task_attempts add column fenced jsonb;
-- It is stopped because its tree was paused; that is no failure.
alter table task_attempts add column pause_asked boolean not null default false;
-- Somebody decided that the tree does not wait for it.
alter table task_attempts add column pause_waived boolean not null default false;
