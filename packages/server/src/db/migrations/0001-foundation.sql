-- Why: the first state the server remembers: people and their tokens, projects, workers, tasks with their attempts and
-- output, events. Times are the database's own.

create table users (
  id          text primary key,
  name        text not null unique,
  role        text not null check (role in ('owner', 'member')),
  created_at  timestamptz not null default now()
);

-- A token is stored as its SHA-256 only: whoever reads the table cannot sign in with it.
create table user_sessions (
  id           text primary key,
  user_id      text not null references users on delete cascade,
  token_hash   bytea not null unique,
  label        text not null,
  created_at   timestamptz not null default now(),
  expires_at   timestamptz not null,
  revoked_at   timestamptz,
  last_used_at timestamptz
);

-- Encrypted with the key file of the data folder; the name says what it belongs to (`worker:<id>:password`).
create table secrets (
  name        text primary key,
  sealed      bytea not null,
  created_at  timestamptz not null default now()
);

create table projects (
  id             text primary key,
  name           text not null unique,
  source         text,
  default_branch text,
  created_at     timestamptz not null default now()
);

create table workers (
  id            text primary key,
  name          text not null,
  transport     text not null check (transport in ('ssh', 'local')),
  -- host, port, user, identityFile, passwordEnv, knownHostsFile, folder: as configured
  address       jsonb not null,
  state         text not null default 'new',
  admission     text not null default 'open',
  reason        jsonb,
  slots         int check (slots > 0),
  labels        text[] not null default '{}',
  facts         jsonb,
  agent         text,
  -- Grows with every link: the fence against a server that was thought dead.
  epoch         bigint not null default 0,
  server_id     text,
  created_at    timestamptz not null default now(),
  removed_at    timestamptz
) with (fillfactor = 50);
create unique index workers_name on workers (name) where removed_at is null;

create table worker_host_keys (
  worker_id    text not null references workers on delete cascade,
  key_type     text not null,
  public_key   text not null,
  fingerprint  text not null,
  seen_at      timestamptz not null default now(),
  accepted_at  timestamptz,
  revoked_at   timestamptz,
  primary key (worker_id, fingerprint)
);

-- The newest numbers of each worker; a beat overwrites them, in batches.
create table worker_metrics (
  worker_id    text primary key references workers on delete cascade,
  load         jsonb not null,
  seen_at      timestamptz not null default now()
) with (fillfactor = 50);

create table worker_connectivity_events (
  id          bigint generated always as identity primary key,
  worker_id   text not null references workers on delete cascade,
  command     text not null,
  from_state  text not null,
  to_state    text not null,
  reason      jsonb,
  at          timestamptz not null default now()
);
create index worker_connectivity_events_of on worker_connectivity_events (worker_id, id desc);

create table distributed_tasks (
  id             text primary key,
  root_id        text not null references distributed_tasks on delete cascade,
  parent_id      text references distributed_tasks on delete cascade,
  -- Given by the driver of the parent, so that dividing twice makes the same subtasks.
  key            text,
  project_id     text references projects,
  kind           text not null,
  name           text not null,
  -- A leaf has a job for a worker; anything else is driven by its kind.
  is_leaf        boolean not null,
  spec           jsonb not null,
  -- Of a leaf: what the worker is asked to run.
  job            jsonb,
  state          text not null,
  priority       int not null default 0,
  requires       text[] not null default '{}',
  only_worker    text,
  -- How long it should take: the longest goes first among equals.
  expected_ms    double precision,
  -- A leaf over which a copy may be raced when a slot is idle and it takes much longer than expected.
  may_copy       boolean not null default false,
  -- Leaves of one tree that may hold slots at once.
  max_slots      int,
  policy         jsonb not null,
  attempts       int not null default 0,
  waiting_for    text,
  progress       jsonb,
  result         jsonb,
  failure        jsonb,
  -- What the kind's driver keeps between its steps.
  memo           jsonb not null default '{}',
  not_before     timestamptz not null default now(),
  deadline_at    timestamptz,
  created_by     text,
  created_at     timestamptz not null default now(),
  started_at     timestamptz,
  finished_at    timestamptz,
  unique (parent_id, key),
  constraint settled_has_end check ((state in ('completed', 'failed', 'cancelled')) = (finished_at is not null)),
  constraint failed_says_why check (state <> 'failed' or failure is not null)
) with (fillfactor = 70);
create index distributed_tasks_ready on distributed_tasks (priority desc, created_at) where state = 'pending' and is_leaf;
create index distributed_tasks_unsettled on distributed_tasks (root_id) where finished_at is null;
create index distributed_tasks_tree on distributed_tasks (root_id, created_at);
create index distributed_tasks_children on distributed_tasks (parent_id);
create index distributed_tasks_roots on distributed_tasks (created_at desc, id desc) where parent_id is null;
create index distributed_tasks_deadline on distributed_tasks (deadline_at) where finished_at is null and deadline_at is not null;

create table task_dependencies (
  task_id     text not null references distributed_tasks on delete cascade,
  needs_id    text not null references distributed_tasks on delete cascade,
  primary key (task_id, needs_id)
);
create index task_dependencies_reverse on task_dependencies (needs_id);

-- The id is the fence: what is not the task's live attempt changes nothing.
create table task_attempts (
  id            text primary key,
  task_id       text not null references distributed_tasks on delete cascade,
  number        int not null,
  worker_id     text not null references workers,
  state         text not null,
  exit_code     int,
  reason        jsonb,
  -- Final length of each stream as the worker reports it, once the attempt is over.
  streams       jsonb not null default '{}',
  wall_ms       double precision,
  cpu_ms        double precision,
  prepare_ms    double precision,
  outputs_blob  text,
  -- The outcome is known and every stream is stored up to its end.
  is_complete   boolean not null default false,
  -- A copy raced beside another attempt of the same task.
  is_copy       boolean not null default false,
  cancel_asked  boolean not null default false,
  assigned_at   timestamptz not null default now(),
  started_at    timestamptz,
  finished_at   timestamptz,
  unique (task_id, number)
) with (fillfactor = 70);
create index task_attempts_live on task_attempts (worker_id) where not is_complete;
create index task_attempts_of_task on task_attempts (task_id) where not is_complete;

-- Bytes of a stream from `off` on; offsets are contiguous, and the key makes a repeated piece harmless.
create table output_chunks (
  attempt_id  text not null references task_attempts on delete cascade,
  stream      text not null,
  off         bigint not null,
  data        bytea not null,
  primary key (attempt_id, stream, off)
);
alter table output_chunks alter column data set storage external;

create table events (
  seq         bigint generated always as identity primary key,
  at          timestamptz not null default now(),
  root_id     text,
  task_id     text,
  worker_id   text,
  project_id  text,
  body        jsonb not null
);
create index events_of_root on events (root_id, seq) where root_id is not null;
create index events_of_worker on events (worker_id, seq) where worker_id is not null;

-- Measured time per unit, so that the next run is divided evenly: an average that forgets old runs.
create table test_timings (
  project_id  text not null references projects on delete cascade,
  runner      text not null,
  unit        text not null,
  mean_ms     double precision not null,
  updated_at  timestamptz not null default now(),
  primary key (project_id, runner, unit)
);

-- The merged documents of a test task.
create table task_documents (
  task_id     text not null references distributed_tasks on delete cascade,
  name        text not null,
  body        text not null,
  primary key (task_id, name)
);

-- What a build with these inputs left: the archive's hash in the blob store.
create table build_cache (
  key         text primary key,
  blob        text not null,
  task_id     text,
  created_at  timestamptz not null default now(),
  used_at     timestamptz not null default now()
);
