/** What an entry of a session tells. */
export const SESSION_ENTRY_TYPES = [
  'began',
  'person_said',
  'model_answered',
  'model_failed',
  'tools_started',
  'tool_finished',
  'tool_unknown',
  'summed_up',
  'evidence_given',
  'parked',
  'resumed',
] as const;
export type SessionEntryType = (typeof SESSION_ENTRY_TYPES)[number];

/** `parked`: waits for a person. The others are those of its task. */
export const SESSION_STATES = ['waiting', 'running', 'parked', 'paused', 'done', 'failed', 'cancelled'] as const;
export type SessionState = (typeof SESSION_STATES)[number];

/** What an agent may want of a person: an answer, agreement to a plan or to a call, or to be let go on from where it stopped by itself. */
export const APPROVAL_KINDS = ['question', 'plan', 'permission', 'parked'] as const;
export type ApprovalKind = (typeof APPROVAL_KINDS)[number];
