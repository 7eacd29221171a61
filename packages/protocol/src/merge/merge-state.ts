export const MERGE_STATES = ['waiting', 'merging', 'verifying', 'merged', 'conflict', 'refused'] as const;
export type MergeState = (typeof MERGE_STATES)[number];

/** `give_back`: it does not fit what was merged before it, in its text or in what the suite says; `hand_in` is its owner's next try. */
export type MergeCommand = 'take' | 'propose' | 'merge' | 'give_back' | 'hand_in' | 'refuse';

/** Every move an entry of a merge queue can make. A missing cell is a refused command; an empty row is a final state. */
export const MERGE_MOVES: Record<MergeState, Partial<Record<MergeCommand, MergeState>>> = {
  waiting: { take: 'merging', refuse: 'refused' },
  merging: { propose: 'verifying', merge: 'merged', give_back: 'conflict', refuse: 'refused' },
  verifying: { merge: 'merged', give_back: 'conflict', refuse: 'refused' },
  conflict: { hand_in: 'waiting', refuse: 'refused' },
  merged: {},
  refused: {},
};

/** The states `command` may start from: what a guarded update puts in its `where`. */
export function mergeStatesBefore(command: MergeCommand): MergeState[] {
  return MERGE_STATES.filter((state) => command in MERGE_MOVES[state]);
}
