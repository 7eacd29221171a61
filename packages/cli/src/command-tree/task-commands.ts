import { buildCommand, buildRouteMap } from '@stricli/core';
import { task, text, wholeNumber } from './inputs.ts';

export const tasks = buildRouteMap({
  routes: {
    list: buildCommand({
      loader: () => import('../commands/tasks-list.ts'),
      parameters: {
        flags: {
          state: {
            kind: 'enum',
            values: ['blocked', 'pending', 'running', 'paused', 'completed', 'failed', 'cancelled'],
            optional: true,
            brief: 'Only tasks in this state',
          },
          project: { kind: 'parsed', parse: text, optional: true, placeholder: 'project', brief: 'Only tasks of this project' },
          limit: { kind: 'parsed', parse: wholeNumber, default: '20', placeholder: 'number', brief: 'At most so many' },
        },
      },
      docs: { brief: 'The newest tasks' },
    }),
    show: buildCommand({
      loader: () => import('../commands/tasks-show.ts'),
      parameters: {
        flags: { follow: { kind: 'boolean', optional: true, withNegated: false, brief: 'Follow until it is over' } },
        aliases: { f: 'follow' },
        positional: { kind: 'tuple', parameters: [task] },
      },
      docs: { brief: 'One task with its subtasks and its result' },
    }),
    logs: buildCommand({
      loader: () => import('../commands/tasks-logs.ts'),
      parameters: {
        flags: {
          follow: { kind: 'boolean', optional: true, withNegated: false, brief: 'Go on until the task is over' },
          stream: { kind: 'parsed', parse: text, optional: true, placeholder: 'name', brief: 'Only this stream: out, err, or file:<path>' },
          attempt: {
            kind: 'parsed',
            parse: wholeNumber,
            optional: true,
            placeholder: 'number',
            brief: 'Of this attempt; the newest when absent',
          },
        },
        aliases: { f: 'follow' },
        positional: { kind: 'tuple', parameters: [task] },
      },
      docs: { brief: 'What a task printed' },
    }),
    cancel: buildCommand({
      loader: () => import('../commands/tasks-cancel.ts'),
      parameters: { positional: { kind: 'tuple', parameters: [task] } },
      docs: { brief: 'Cancel a task and everything below it' },
    }),
    resume: buildCommand({
      loader: () => import('../commands/tasks-resume.ts'),
      parameters: {
        flags: {
          elsewhere: {
            kind: 'boolean',
            optional: true,
            withNegated: false,
            brief: 'Start the part whose worker is away on another worker',
          },
        },
        positional: { kind: 'tuple', parameters: [task] },
      },
      docs: { brief: 'Let a paused task go on without the worker it waits for' },
    }),
    checkpoint: buildCommand({
      loader: () => import('../commands/tasks-checkpoint.ts'),
      parameters: {
        flags: {
          name: {
            kind: 'parsed',
            parse: text,
            optional: true,
            placeholder: 'name',
            brief: 'A name to roll back to; one name may stand for all parts of a task',
          },
        },
        positional: { kind: 'tuple', parameters: [task] },
      },
      docs: { brief: 'Record the files of a running task, uncommitted ones too' },
    }),
    checkpoints: buildCommand({
      loader: () => import('../commands/tasks-checkpoints.ts'),
      parameters: { positional: { kind: 'tuple', parameters: [task] } },
      docs: { brief: 'The checkpoints of a task and of its parts' },
    }),
    merges: buildCommand({
      loader: () => import('../commands/tasks-merges.ts'),
      parameters: { positional: { kind: 'tuple', parameters: [task] } },
      docs: { brief: 'How the changes that the parts of a task made are merged' },
    }),
    rollback: buildCommand({
      loader: () => import('../commands/tasks-rollback.ts'),
      parameters: {
        flags: {
          to: { kind: 'parsed', parse: text, placeholder: 'checkpoint', brief: 'Number or name of a checkpoint; 0 is the commit itself' },
        },
        positional: { kind: 'tuple', parameters: [task] },
      },
      docs: { brief: 'Take a task back to a checkpoint; what runs starts again from there' },
    }),
    retry: buildCommand({
      loader: () => import('../commands/tasks-retry.ts'),
      parameters: {
        flags: { detach: { kind: 'boolean', optional: true, withNegated: false, brief: 'Do not follow' } },
        positional: { kind: 'tuple', parameters: [task] },
      },
      docs: { brief: 'Run a failed or cancelled task again; what succeeded is kept' },
    }),
  },
  docs: { brief: 'What was asked for, and how it went' },
});
