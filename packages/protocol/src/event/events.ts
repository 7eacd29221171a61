import { z } from 'zod';
import { MERGE_STATES } from '../merge/merge-state.ts';
import { APPROVAL_KINDS, SESSION_ENTRY_TYPES } from '../session/session.ts';
import { ATTEMPT_STATES } from '../task/attempt-state.ts';
import { TASK_STATES } from '../task/task-state.ts';
import { CHECKPOINT_CAUSES } from '../worker/checkpoint.ts';
import { WORKER_ADMISSIONS, WORKER_STATES } from '../worker/worker-state.ts';

const fact = z.object({
  code: z.string(),
  message: z.string(),
  next: z.string().optional(),
  details: z.record(z.string(), z.unknown()).optional(),
});

/** Everything that can be told to have happened. Written in the transaction of the fact itself. */
export const eventBody = z.discriminatedUnion('type', [
  z.object({ type: z.literal('task.created'), kind: z.string(), name: z.string(), state: z.enum(TASK_STATES) }),
  z.object({
    type: z.literal('task.moved'),
    from: z.enum(TASK_STATES),
    to: z.enum(TASK_STATES),
    command: z.string(),
    failure: fact.optional(),
    /** Why it was paused or goes on. */
    reason: z.string().optional(),
  }),
  z.object({ type: z.literal('task.waiting'), reason: z.string() }),
  z.object({ type: z.literal('task.progress'), phase: z.string(), done: z.number(), total: z.number() }),
  z.object({
    type: z.literal('attempt.moved'),
    attempt: z.string(),
    number: z.number(),
    worker: z.string(),
    to: z.enum(ATTEMPT_STATES),
    exitCode: z.number().optional(),
    reason: fact.optional(),
  }),
  /** A running attempt no longer counts, or counts again: its worker fell silent, or came back. */
  z.object({ type: z.literal('attempt.fenced'), attempt: z.string(), number: z.number(), worker: z.string(), reason: fact }),
  z.object({ type: z.literal('attempt.readmitted'), attempt: z.string(), number: z.number(), worker: z.string() }),
  z.object({
    type: z.literal('task.checkpoint'),
    number: z.number().int(),
    cause: z.enum(CHECKPOINT_CAUSES),
    name: z.string().optional(),
    bundleBytes: z.number().int(),
    leftOutCount: z.number().int(),
  }),
  /** The next attempt begins at that checkpoint; 0 is the commit itself. */
  z.object({ type: z.literal('task.rolled_back'), to: z.number().int() }),
  /** The newest entry of a session, which says what it is. */
  z.object({ type: z.literal('session.entry'), session: z.string(), entry: z.number().int(), what: z.enum(SESSION_ENTRY_TYPES) }),
  z.object({
    type: z.literal('approval.asked'),
    approval: z.string(),
    session: z.string(),
    kind: z.enum(APPROVAL_KINDS),
    question: z.string(),
  }),
  z.object({ type: z.literal('approval.answered'), approval: z.string(), session: z.string(), isAccepted: z.boolean() }),
  /** A queue for the changes of this tree to a project. */
  z.object({ type: z.literal('merge.opened'), queue: z.string(), base: z.string() }),
  /** A change of the task came into a queue, or moved on in it. */
  z.object({
    type: z.literal('merge.moved'),
    queue: z.string(),
    entry: z.string(),
    title: z.string(),
    try: z.number().int(),
    /** Absent when it comes in for the first time. */
    from: z.enum(MERGE_STATES).optional(),
    to: z.enum(MERGE_STATES),
    /** Being verified, or merged: the commit of the queue that holds it; else its owner's. */
    commit: z.string(),
    /** Gone back to its owner, or refused: why, in a sentence. */
    reason: z.string().optional(),
  }),
  z.object({ type: z.literal('worker.added'), name: z.string(), transport: z.string() }),
  z.object({
    type: z.literal('worker.moved'),
    from: z.enum(WORKER_STATES),
    to: z.enum(WORKER_STATES),
    command: z.string(),
    reason: fact.optional(),
  }),
  z.object({ type: z.literal('worker.admission'), to: z.enum(WORKER_ADMISSIONS) }),
  z.object({ type: z.literal('project.added'), name: z.string() }),
]);
export type EventBody = z.infer<typeof eventBody>;
export type EventType = EventBody['type'];

export const event = z.object({
  /** Position in the log: grows, and is the cursor to resume from. Numbers may be missing, never reordered. */
  seq: z.number().int(),
  at: z.string().describe('RFC 3339 time of the server'),
  /** The tree it belongs to (the root task's id), the task itself, the worker, the project: as far as each applies. */
  root: z.string().optional(),
  task: z.string().optional(),
  worker: z.string().optional(),
  project: z.string().optional(),
  body: eventBody,
});
export type Event = z.infer<typeof event>;

/**
 * What a client may listen to: everything, all of one subject, or one subject: `all`, `tasks`, `workers`, `projects`,
 * `task:<root id>`, `worker:<id>`, `project:<id>`.
 */
export const TOPIC = /^(all|tasks|workers|projects|task:tsk_[0-9a-z]+|worker:wrk_[0-9a-z]+|project:prj_[0-9a-z]+)$/;

export function isAbout(topic: string, event: Event): boolean {
  const [subject, id] = topic.split(':');
  switch (subject) {
    case 'all':
      return true;
    case 'task':
      return event.root === id;
    case 'worker':
      return event.worker === id;
    case 'project':
      return event.project === id;
    case 'tasks':
      return /^(task|attempt|session|approval)\./.test(event.body.type);
    case 'workers':
      return event.body.type.startsWith('worker.');
    case 'projects':
      return event.body.type.startsWith('project.');
    default:
      return false;
  }
}

/** What a WebSocket client says on `/api/v1/live`. */
export const liveRequest = z.discriminatedUnion('t', [
  /** `after`: the last sequence number it has; absent means from now on. */
  z.strictObject({ t: z.literal('subscribe'), topic: z.string().regex(TOPIC), after: z.number().int().optional() }),
  z.strictObject({ t: z.literal('unsubscribe'), topic: z.string().regex(TOPIC) }),
]);
export type LiveRequest = z.infer<typeof liveRequest>;

/** What the server answers there. `too_old`: the gap is gone, fetch the present state and subscribe from `newest`. */
export type LiveMessage =
  | { t: 'subscribed'; topic: string; newest: number }
  | { t: 'event'; topic: string; event: Event }
  | { t: 'too_old'; topic: string; oldest: number; newest: number }
  | { t: 'error'; topic?: string; code: string; message: string };
