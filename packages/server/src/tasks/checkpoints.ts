import { randomUUID } from 'node:crypto';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CheckpointView } from '@helixcode/protocol/api/views';
import { CodedError, type ErrorFact } from '@helixcode/protocol/errors';
import type { AttemptId, ProjectId, ServerId, TaskId } from '@helixcode/protocol/ids';
import { checkpointPolicy, type TaskPolicy } from '@helixcode/protocol/task/task-spec';
import { type CheckpointHeader, type CheckpointLimits, checkpointHeader } from '@helixcode/protocol/worker/checkpoint';
import { appendEvents } from '../events/event-log.ts';
import type { CheckpointRefs, WrittenOver } from '../projects/checkpoint-refs.ts';
import type { WorkerServices } from '../workers/job-book.ts';
import {
  beginNextAt,
  type CheckpointRow,
  dropOldest,
  findCheckpoint,
  findLiveAttempt,
  insertCheckpoint,
  listCheckpoints,
  listKeptNumbers,
  listLiveAttempts,
  nextCheckpointNumber,
  type RecordableAttempt,
} from './checkpoint-sql.ts';
import type { TaskContext } from './task-context.ts';
import { getTask } from './task-sql.ts';

/** A header names at most a hundred files. */
const HEADER_LIMIT_BYTES = 1024 * 1024;
/** How long a snapshot may be on its way after it was taken. */
const TRAVEL_MS = 30_000;
/** While its worker is out of reach, it is looked this often whether it is back. */
const LOOK_AGAIN_MS = 200;
/** A bundle holds compressed files and what git says of them; of files that do not compress it is a little larger. */
const BUNDLE_SLACK_BYTES = 16 * 1024 * 1024;

export interface Checkpoints extends Pick<WorkerServices, 'storeCheckpoint' | 'missCheckpoint'> {
  /**
   * Takes a checkpoint of a running task, or one of each running part of a divided one.
   * @throws CodedError `checkpoint.refused` when nothing can be recorded, `checkpoint.failed`
   */
  take(task: TaskId, name: string | undefined): Promise<CheckpointView[]>;
  list(task: TaskId): Promise<CheckpointView[]>;
  /** The same of one attempt, wherever it is. */
  takeOfAttempt(request: CheckpointRequest): Promise<CheckpointView>;
  /**
   * Records files that somebody has just written into the checkout of an attempt, without asking its worker: for those who know that all else is as it was at a
   * checkpoint.
   *
   * @param since number of that checkpoint
   * @returns `undefined` when that takes a look at the checkout: one of the files is new, or no plain file
   * @throws CodedError `checkpoint.refused`
   */
  takeWritten(attempt: AttemptId, since: number, writes: WrittenOver['writes']): Promise<CheckpointView | undefined>;
}

/** What one server asks of the one that holds the worker. */
export interface CheckpointRequest {
  attempt: AttemptId;
  name?: string | undefined;
  /** Number of a checkpoint of its task: where nothing has changed since, it is given again. */
  since?: number | undefined;
}

interface Asked {
  name: string | undefined;
  answer: PromiseWithResolvers<CheckpointRow>;
}

export function createCheckpoints(
  context: Pick<TaskContext, 'db' | 'pool' | 'log' | 'wakeEvents'> & {
    refs: CheckpointRefs;
    ask?: (server: ServerId, request: CheckpointRequest, withinMs: number) => Promise<unknown>;
  },
): Checkpoints {
  const { db, pool, refs } = context;
  const asked = new Map<string, Asked>();
  /** Checkpoints of one task get their numbers one after the other. */
  const underWay = new Map<TaskId, Promise<unknown>>();

  function inTurn<T>(task: TaskId, work: () => Promise<T>): Promise<T> {
    const result = (underWay.get(task) ?? Promise.resolve()).then(work);
    const done = result.catch(() => {});
    underWay.set(task, done);
    void done.then(() => underWay.get(task) === done && underWay.delete(task));
    return result;
  }

  async function takeOne(attempt: RecordableAttempt, { name, since }: Pick<CheckpointRequest, 'name' | 'since'>): Promise<CheckpointView> {
    const limits = limitsOf(attempt.policy);
    const elsewhere = (holder: ServerId): Promise<CheckpointView> | undefined =>
      context.ask?.(holder, { attempt: attempt.id, name, since }, limits.maxMs + TRAVEL_MS) as Promise<CheckpointView> | undefined;
    const holder = pool.holderOf(attempt.worker_id);
    // The request travels over its link, and so does the checkpoint.
    if (holder) return (await elsewhere(holder)) as CheckpointView;
    const last = since === undefined ? undefined : await findCheckpoint(db, attempt.task_id, since);
    const known = last && attempt.project_id !== null ? await refs.treeOf(attempt.project_id, last.commit_hash) : undefined;
    const request = randomUUID();
    const answer = Promise.withResolvers<CheckpointRow>();
    asked.set(request, { name, answer });
    const timer = setTimeout(
      () =>
        answer.reject(
          new CodedError(
            'checkpoint.failed',
            `the worker of ${attempt.task_name} brought no checkpoint within ${limits.maxMs + TRAVEL_MS} ms`,
          ),
        ),
      limits.maxMs + TRAVEL_MS,
    );
    // It may be refused while nobody waits for it.
    answer.promise.catch(() => {});
    try {
      for (let isAsked = false; ; isAsked = true) {
        const linkOver = pool.checkpoint(attempt.worker_id, attempt.id, { request, limits, ...(known !== undefined && { known }) });
        if (!linkOver && !isAsked)
          throw new CodedError('checkpoint.failed', `the worker of ${attempt.task_name} is out of reach`, {
            next: `helix tasks show ${attempt.task_id}`,
          });
        const row = await Promise.race([answer.promise, linkOver ?? sleep(LOOK_AGAIN_MS, undefined, { ref: false })]);
        if (row) return viewCheckpoint(row);
        // The worker brings it over its next link, unless what was to bring it ended: then it has to be asked again.
        if (!(await findLiveAttempt(db, attempt.id))) throw noLongerWanted(attempt.id);
        const now = pool.holderOf(attempt.worker_id);
        if (now) return (await elsewhere(now)) as CheckpointView;
      }
    } catch (error) {
      if (!last || !(error instanceof CodedError) || error.code !== 'checkpoint.unchanged') throw error;
      // The clock may have recorded what was there in between.
      await beginNextAt(db, attempt.id, { number: last.number, commit: last.commit_hash }, 'asked');
      return viewCheckpoint(last);
    } finally {
      clearTimeout(timer);
      asked.delete(request);
    }
  }

  async function keep(attempt: RecordableAttempt, header: CheckpointHeader, bundle: Readable): Promise<CheckpointRow> {
    const { task_id: task, project_id: project, policy } = attempt;
    if (project === null) throw new CodedError('checkpoint.refused', `${attempt.task_name} belongs to no project`);
    const number = await nextCheckpointNumber(db, task);
    await refs.keep(project, task, number, header.commit, bundle, limitsOf(policy).maxBytes + BUNDLE_SLACK_BYTES);
    const name = header.request === undefined ? undefined : asked.get(header.request)?.name;
    return book(attempt, project, { ...header, number, name });
  }

  async function book(
    attempt: RecordableAttempt,
    project: ProjectId,
    checkpoint: Omit<CheckpointHeader, 'request'> & { number: number; name: string | undefined },
  ): Promise<CheckpointRow> {
    const { task_id: task, policy } = attempt;
    const { number, name, ...header } = checkpoint;
    let isLess = false;
    const row = await db.tx(async (tx) => {
      const inserted = await insertCheckpoint(tx, attempt.id, checkpoint);
      if (!inserted) return undefined;
      await beginNextAt(tx, attempt.id, { number, commit: header.commit }, header.cause);
      if (header.cause !== 'asked') isLess = await dropOldest(tx, task, keepOf(policy));
      await appendEvents(tx, [
        {
          root: attempt.root_id,
          task,
          worker: attempt.worker_id,
          project,
          body: {
            type: 'task.checkpoint',
            number,
            cause: header.cause,
            bundleBytes: header.bundleBytes,
            leftOutCount: header.leftOutCount,
            ...(name !== undefined && { name }),
          },
        },
      ]);
      return inserted;
    });
    if (isLess || !row) await refs.retain(project, task, await listKeptNumbers(db, task));
    if (!row) throw noLongerWanted(attempt.id);
    context.wakeEvents();
    return row;
  }

  return {
    async take(id, name) {
      const task = await getTask(db, id);
      const live = await listLiveAttempts(db, id);
      const newest = [...new Map(live.toReversed().map((attempt) => [attempt.task_id, attempt])).values()];
      const recordable = newest.filter((attempt) => attempt.state === 'running' && attempt.job.workspace);
      if (recordable.length === 0) throw nothingToRecord(task, newest);
      return Promise.all(recordable.map((attempt) => takeOne(attempt, { name })));
    },

    async takeOfAttempt({ attempt: id, name, since }) {
      const attempt = await findLiveAttempt(db, id);
      if (!attempt) throw noLongerWanted(id);
      return takeOne(attempt, { name, since });
    },

    async takeWritten(id, since, writes) {
      const attempt = await findLiveAttempt(db, id);
      if (!attempt || attempt.project_id === null) throw noLongerWanted(id);
      const { task_id: task, project_id: project, job } = attempt;
      const base = job.workspace?.commit;
      if (base === undefined) throw nothingToRecord({ id: task, name: attempt.task_name, state: attempt.state }, [attempt]);
      return inTurn(task, async () => {
        const beganMs = performance.now();
        const [last, number] = await Promise.all([findCheckpoint(db, task, since), nextCheckpointNumber(db, task)]);
        const made = last && (await refs.keepWritten(project, task, number, { onto: last.commit_hash, base, writes }));
        if (!made) return undefined;
        const row = await book(attempt, project, {
          cause: 'asked',
          commit: made.commit,
          files: last.files + made.newlyChanged,
          bundleBytes: 0,
          tookMs: Math.round(performance.now() - beganMs),
          leftOut: last.left_out,
          leftOutCount: last.left_out_count,
          number,
          name: undefined,
        });
        return viewCheckpoint(row);
      });
    },

    async list(id) {
      await getTask(db, id);
      return (await listCheckpoints(db, id)).map(viewCheckpoint);
    },

    async storeCheckpoint(id, worker, content) {
      const header = checkpointHeader.parse(JSON.parse(await readLine(content)));
      const request = header.request === undefined ? undefined : asked.get(header.request);
      try {
        const attempt = await findLiveAttempt(db, id);
        if (!attempt || attempt.worker_id !== worker) throw noLongerWanted(id);
        const row = await inTurn(attempt.task_id, () => keep(attempt, header, content));
        request?.answer.resolve(row);
      } catch (error) {
        if (!(error instanceof CodedError)) context.log.error({ err: error, attempt: id }, 'a checkpoint could not be kept');
        request?.answer.reject(error);
        throw error;
      }
    },

    missCheckpoint(request, reason: ErrorFact) {
      asked.get(request)?.answer.reject(CodedError.fromFact(reason));
    },
  };
}

/** What bounds a snapshot of a task, also of one whose policy does not speak of checkpoints. */
export function limitsOf(policy: TaskPolicy): CheckpointLimits {
  const { maxFileBytes, maxBytes, maxMs } = policy.checkpoint ?? checkpointPolicy.parse({});
  return { maxFileBytes, maxBytes, maxMs };
}

function keepOf(policy: TaskPolicy): number {
  return (policy.checkpoint ?? checkpointPolicy.parse({})).keep;
}

function noLongerWanted(attempt: AttemptId): CodedError {
  return new CodedError('checkpoint.refused', `attempt ${attempt} is not what its task waits for any more`);
}

function nothingToRecord(task: { id: TaskId; name: string; state: string }, live: RecordableAttempt[]): CodedError {
  const why =
    live.length === 0
      ? `it is ${task.state} and nothing of it runs`
      : live.every((attempt) => !attempt.job.workspace)
        ? 'it runs without a checkout of a project'
        : 'its checkout is still being made ready';
  return new CodedError('checkpoint.refused', `there is nothing to record of ${task.name} (${task.id}): ${why}`, {
    next: `helix tasks show ${task.id}`,
  });
}

function viewCheckpoint(row: CheckpointRow): CheckpointView {
  return {
    task: row.task_id,
    number: row.number,
    cause: row.cause,
    ...(row.name !== null && { name: row.name }),
    attempt: row.attempt,
    commit: row.commit_hash,
    files: row.files,
    bundleBytes: row.bundle_bytes,
    tookMs: row.took_ms,
    leftOut: row.left_out,
    leftOutCount: row.left_out_count,
    createdAt: row.created_at.toISOString(),
    ...(row.dropped_at && { droppedAt: row.dropped_at.toISOString() }),
  };
}

/** Reads up to the first line end and puts back what follows it. */
async function readLine(stream: Readable): Promise<string> {
  const parts: Buffer[] = [];
  let length = 0;
  for (;;) {
    const chunk = stream.read() as Buffer | null;
    if (chunk === null) {
      if (stream.readableEnded || stream.destroyed)
        throw new CodedError('worker.protocol_violation', 'a checkpoint ended before its header did');
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          for (const event of ['readable', 'end', 'close', 'error']) stream.off(event, wake);
          resolve();
        };
        for (const event of ['readable', 'end', 'close', 'error']) stream.on(event, wake);
      });
      continue;
    }
    const lineEnd = chunk.indexOf(10);
    if (lineEnd >= 0) {
      if (lineEnd + 1 < chunk.length) stream.unshift(chunk.subarray(lineEnd + 1));
      return Buffer.concat([...parts, chunk.subarray(0, lineEnd)]).toString('utf8');
    }
    parts.push(chunk);
    length += chunk.length;
    if (length > HEADER_LIMIT_BYTES) throw new CodedError('worker.protocol_violation', 'the header of a checkpoint is too long');
  }
}
