-- Why: each move of a leaf is written into every index of its table. Children are found as well by the index that keeps
-- their keys unique.

drop index distributed_tasks_children;
