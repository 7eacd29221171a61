import type { TaskDetail } from '@helixcode/protocol/api/views';
import type { TaskSubmissionInput } from '@helixcode/protocol/task/task-spec';
import type { Connection } from './connect.ts';
import { type FollowOptions, followTask } from './follow/follow-task.ts';
import type { HelixContext } from './helix-context.ts';
import { type PolicyFlags, policyOf } from './task-policy.ts';

/** What `exec`, `test` and `build` have in common. */
export interface SubmitFlags extends PolicyFlags {
  on?: string;
  requires?: readonly string[];
  priority?: number;
  /** Milliseconds. */
  wait?: number;
  detach?: boolean;
}

/** What is asked of a task apart from its work: where it may run, by when, and what becomes of it when things go wrong. */
export function termsOf(flags: SubmitFlags): Omit<TaskSubmissionInput, 'kind' | 'spec' | 'name'> {
  return {
    policy: policyOf(flags),
    ...(flags.on !== undefined && { worker: flags.on }),
    ...(flags.requires && { requires: [...flags.requires] }),
    ...(flags.priority !== undefined && { priority: flags.priority }),
    ...(flags.deadline !== undefined && { deadlineMs: flags.deadline }),
  };
}

/**
 * Hands a task in and follows it.
 *
 * @returns the task at its end; `undefined` when it is not followed to its end: with `--detach` its id is printed
 */
export async function submitAndFollow(
  context: HelixContext,
  connection: Connection,
  submission: TaskSubmissionInput,
  flags: SubmitFlags,
  options: Omit<FollowOptions, 'waitMs'> = {},
): Promise<TaskDetail | undefined> {
  const task = await connection.call('tasks.submit', { body: submission });
  if (flags.detach) {
    if (context.out.format === 'text') context.out.line(task.id);
    else context.out.json(task);
    context.out.hint(`helix tasks show ${task.id} --follow`);
    return undefined;
  }
  if (!options.isQuiet && context.out.format === 'text') context.out.note(`task ${task.id}`);
  return followTask(context, connection, task, { ...options, waitMs: flags.wait });
}
