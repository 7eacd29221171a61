import type { ErrorFact } from '@helixcode/protocol/errors';
import type { MergeEntryId, MergeQueueId, ProjectId, TaskId } from '@helixcode/protocol/ids';
import type { MergeState } from '@helixcode/protocol/merge/merge-state';
import type { MergeReturn } from '@helixcode/protocol/merge/merge-view';

/** A row of `merge_queues`. */
export interface QueueRow {
  id: MergeQueueId;
  root_id: TaskId;
  project_id: ProjectId;
  base_commit: string;
  tip_commit: string;
  ref_commit: string | null;
  max_tries: number;
  created_at: Date;
}

/** A row of `merge_entries`. */
export interface EntryRow {
  id: MergeEntryId;
  queue_id: MergeQueueId;
  place: number;
  key: string;
  task_id: TaskId;
  title: string;
  state: MergeState;
  try: number;
  commit_hash: string;
  entered_at: Date;
  onto_commit: string | null;
  made_commit: string | null;
  receipts: string[];
  returned: MergeReturn | null;
  failure: ErrorFact | null;
  created_at: Date;
  finished_at: Date | null;
}
