-- Why: what is no longer needed is removed in time: which trees are over for good is said once, handed-over commits have a
-- last use, and of removed output it is known that it was removed.

-- Trees of which nothing goes on any more, on no worker either.
create view finished_trees as
  select r.id as root_id, r.created_at, r.finished_at
    from distributed_tasks r
   where r.parent_id is null and r.finished_at is not null
     and not exists (select from distributed_tasks t where t.root_id = r.id and t.finished_at is null)
     and not exists (select from distributed_tasks t join task_attempts a on a.task_id = t.id
                      where t.root_id = r.id and not a.is_complete);

-- Commits that were handed over for tasks. Their objects are in the mirror of the project, under refs/helix/snapshots.
create table snapshots (
  project_id    text not null references projects on delete cascade,
  commit_hash   text not null,
  bundle_bytes  bigint not null default 0,
  used_at       timestamptz not null default now(),
  primary key (project_id, commit_hash)
);

-- Its output is not kept any longer.
alter table task_attempts add column output_removed_at timestamptz;

-- Whether a task names a commit is asked for each commit.
create index distributed_tasks_commits on distributed_tasks (project_id, (spec->>'commit')) where parent_id is null and project_id is not null;
-- Attempts take their checkpoints with them.
create index task_checkpoints_of_attempt on task_checkpoints (attempt_id);
