import type { Readable } from 'node:stream';
import { CodedError } from '@helixcode/protocol/errors';
import { isId, type TaskId } from '@helixcode/protocol/ids';
import { isOver } from '@helixcode/protocol/task/attempt-state';
import { isSettled } from '@helixcode/protocol/task/task-state';
import type { Handlers } from '../http/handler.ts';
import { listAttempts, listAttemptsOfTask, readStreamLength } from './attempt-sql.ts';
import { cancelTask } from './cancel-task.ts';
import type { Checkpoints } from './checkpoints.ts';
import { readRange } from './read-stream.ts';
import { resumeTask } from './resume-task.ts';
import { retryTask } from './retry-task.ts';
import { rollbackTask } from './rollback-task.ts';
import { submitTask } from './submit-task.ts';
import type { AttemptRow, TaskRow, TaskSummaryRow } from './task-row.ts';
import { getTask, listRoots, listTree, readDocument } from './task-sql.ts';
import { viewTask, viewTree, type WorkerNames } from './task-view.ts';
import type { SilenceContext } from './watch-silence.ts';

export interface TaskHandlerDeps extends SilenceContext {
  workers: WorkerNames;
  checkpoints: Pick<Checkpoints, 'take' | 'list'>;
  startDriver(task: TaskRow): void;
  /** Whether this server is about to end and hands over what it has. */
  isDraining(): boolean;
  /** A stored archive by its hash; `undefined` when it is not there any more. */
  openBlob(key: string): Promise<Readable | undefined>;
}

type TaskRoutes =
  | 'tasks.submit'
  | 'tasks.list'
  | 'tasks.get'
  | 'tasks.output'
  | 'tasks.cancel'
  | 'tasks.retry'
  | 'tasks.checkpoint'
  | 'tasks.checkpoints'
  | 'tasks.rollback'
  | 'tasks.resume'
  | 'tasks.junit'
  | 'tasks.coverage'
  | 'tasks.artifact';

export function taskHandlers(deps: TaskHandlerDeps): Pick<Handlers, TaskRoutes> {
  const { db } = deps;
  const view = (row: TaskSummaryRow) => viewTask(row, undefined, deps.workers);

  return {
    'tasks.submit': async ({ body, user }) => {
      if (deps.isDraining())
        throw new CodedError('server.draining', 'this server is about to end and takes no new tasks', {
          next: 'try again, or ask another server of the same database',
        });
      return view(await submitTask(deps, body, user));
    },

    'tasks.list': async ({ query }) => {
      const rows = await listRoots(db, {
        state: query.state,
        project: query.project,
        before: query.cursor === undefined ? undefined : checkId(query.cursor),
        limit: query.limit + 1,
      });
      const items = rows.slice(0, query.limit);
      const last = items.at(-1);
      return { items: items.map(view), ...(rows.length > query.limit && last && { cursor: last.id }) };
    },

    'tasks.get': async ({ params }) => {
      const task = await getTask(db, checkId(params.task));
      const [tree, attempts] = await Promise.all([listTree(db, task.root_id), listAttempts(db, task.root_id)]);
      return viewTree(task, tree, attempts, deps.workers);
    },

    'tasks.output': async ({ params, query }) => {
      const task = await getTask(db, checkId(params.task));
      const attempt = pickAttempt(task, await listAttemptsOfTask(db, task.id), query.attempt);
      if (!attempt) return { body: '', headers: { 'helix-next-offset': '0', 'helix-over': String(isSettled(task.state)) } };
      if (attempt.output_removed_at)
        throw new CodedError(
          'output.removed',
          `the output of attempt ${attempt.number} of ${task.name} was removed on ${attempt.output_removed_at.toISOString()}`,
          { next: '`helix config show` tells how long output is kept: retention.outputDays and retention.outputBytes' },
        );
      const stored = await readStreamLength(db, attempt.id, query.stream);
      if (attempt.is_complete && attempt.streams[query.stream] === undefined && stored === 0 && !['out', 'err'].includes(query.stream))
        throw new CodedError('api.not_found', `attempt ${attempt.number} of ${task.name} left no stream ${query.stream}`, {
          next: `helix tasks show ${task.id}`,
          details: { streams: Object.keys(attempt.streams) },
        });
      const bytes = await readRange(db, attempt.id, query.stream, query.from, Math.min(stored, query.from + query.maxBytes));
      const nextOffset = query.from + bytes.length;
      const isOverNow = isOver(attempt.state) && (attempt.is_complete || attempt.state === 'lost') && nextOffset >= stored;
      return { body: bytes, headers: { 'helix-next-offset': String(nextOffset), 'helix-over': String(isOverNow) } };
    },

    'tasks.cancel': async ({ params }) => view(await cancelTask(deps, checkId(params.task))),
    'tasks.retry': async ({ params }) => view(await retryTask(deps, checkId(params.task))),
    'tasks.checkpoint': async ({ params, body }) => ({ items: await deps.checkpoints.take(checkId(params.task), body.name) }),
    'tasks.checkpoints': async ({ params }) => ({ items: await deps.checkpoints.list(checkId(params.task)) }),
    'tasks.resume': async ({ params, body }) => view(await resumeTask(deps, checkId(params.task), body.elsewhere)),
    'tasks.rollback': async ({ params, body }) => view(await rollbackTask(deps, checkId(params.task), body.to)),
    'tasks.junit': ({ params }) => documentOf(params.task, 'junit', 'merged JUnit file'),
    'tasks.coverage': ({ params }) => documentOf(params.task, 'coverage', 'coverage record'),

    'tasks.artifact': async ({ params }) => {
      const task = await getTask(db, checkId(params.task));
      const key = (task.result as { blob?: string } | null)?.blob;
      const body = key === undefined ? undefined : await deps.openBlob(key);
      if (!body)
        throw new CodedError('api.not_found', `${task.name} (${task.id}) has no stored outputs`, { next: `helix tasks show ${task.id}` });
      return { body, headers: { 'content-disposition': `attachment; filename="${task.id}.tar.zst"` } };
    },
  };

  async function documentOf(task: string, name: string, what: string): Promise<{ body: string }> {
    const { id, name: title } = await getTask(db, checkId(task));
    const body = await readDocument(db, id, name);
    if (body === undefined) throw new CodedError('api.not_found', `${title} (${id}) has no ${what}`, { next: `helix tasks show ${id}` });
    return { body };
  }
}

function checkId(text: string): TaskId {
  if (!isId('task', text)) throw new CodedError('task.not_found', `${text} is not the id of a task`, { next: 'helix tasks list' });
  return text;
}

function pickAttempt(task: TaskRow, attempts: AttemptRow[], number: number | undefined): AttemptRow | undefined {
  if (!task.is_leaf)
    throw new CodedError('api.not_found', `${task.name} (${task.id}) is divided: its subtasks have the output`, {
      next: `helix tasks show ${task.id}`,
    });
  if (number === undefined) return attempts.at(-1);
  const attempt = attempts.find((candidate) => candidate.number === number);
  if (!attempt)
    throw new CodedError('api.not_found', `${task.name} (${task.id}) has no attempt ${number}`, { next: `helix tasks show ${task.id}` });
  return attempt;
}
