-- Why: placement sorted every pending leaf on each pass, which thousands of leaves of one parent turned into most of the
-- server's work. Leaves that ask for the same share a lane: a pass reads only the front of each. 53 bits of a hash name it.

alter table distributed_tasks add column lane bigint not null default 0;
update distributed_tasks
   set lane = hashtextextended(jsonb_build_array(project_id, case when parent_id is not null then root_id end, only_worker, max_slots, requires)::text, 0) >> 11
 where finished_at is null;
alter table distributed_tasks alter column lane drop default;

drop index distributed_tasks_ready;
create index distributed_tasks_lanes on distributed_tasks (lane, priority desc, expected_ms desc nulls last, created_at, id)
 where state = 'pending' and is_leaf;
