-- Why: several agents work on one project at the same time. A queue takes their changes one after the other: each is merged onto
-- what was merged before it, and what comes out is verified before the next.

-- One of a tree of tasks and a project. Its tip is a commit in the project's mirror, under refs/helix/merge/<id>.
create table merge_queues (
  id           text primary key,
  root_id      text not null references distributed_tasks on delete cascade,
  project_id   text not null references projects on delete cascade,
  base_commit  text not null,
  tip_commit   text not null,
  -- Where the ref is known to stand: it follows the tip.
  ref_commit   text,
  max_tries    int not null check (max_tries > 0),
  created_at   timestamptz not null default now(),
  unique (root_id, project_id)
);
create index merge_queues_ref_behind on merge_queues (id) where ref_commit is distinct from tip_commit;

create table merge_entries (
  id           text primary key,
  queue_id     text not null references merge_queues on delete cascade,
  -- The order of first coming; a later try keeps it.
  place        bigint generated always as identity,
  -- Given by who enters it, so that entering twice makes one.
  key          text not null,
  -- Who owns the change, and gets it back when it does not fit.
  task_id      text not null references distributed_tasks on delete cascade,
  title        text not null,
  state        text not null default 'waiting',
  try          int not null default 1 check (try > 0),
  -- The work as its owner left it.
  commit_hash  text not null,
  -- When this try was handed in: the date of the commit that is made of it.
  entered_at   timestamptz not null default now(),
  -- What it is merged onto, and the commit that came out.
  onto_commit  text,
  made_commit  text,
  -- Receipts of what verified it.
  receipts     text[] not null default '{}',
  -- Why its last try went back to the owner.
  returned     jsonb,
  -- Of a refused one.
  failure      jsonb,
  created_at   timestamptz not null default now(),
  finished_at  timestamptz,
  unique (queue_id, key),
  constraint settled_has_end check ((state in ('merged', 'refused')) = (finished_at is not null)),
  constraint merged_has_commit check (state <> 'merged' or made_commit is not null),
  constraint refused_says_why check (state <> 'refused' or failure is not null)
) with (fillfactor = 70);
create index merge_entries_open on merge_entries (queue_id, place) where finished_at is null;
-- One at a time.
create unique index merge_entries_active on merge_entries (queue_id) where state in ('merging', 'verifying');
create index merge_entries_of_task on merge_entries (task_id);

-- The task that verifies a try: written with it, so that there is one.
create table merge_checks (
  entry_id  text not null references merge_entries on delete cascade,
  try       int not null,
  task_id   text not null references distributed_tasks on delete cascade,
  -- Its task is over: nobody has to look after it any more.
  ended_at  timestamptz,
  primary key (entry_id, try)
);
create index merge_checks_open on merge_checks (task_id) where ended_at is null;
create index merge_checks_of_task on merge_checks (task_id);
