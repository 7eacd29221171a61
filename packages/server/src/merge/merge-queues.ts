import { CodedError, type ErrorFact } from '@helixcode/protocol/errors';
import { type MergeEntryId, type MergeQueueId, newId, type ProjectId, type TaskId } from '@helixcode/protocol/ids';
import type { MergeState } from '@helixcode/protocol/merge/merge-state';
import type { MergeReturn } from '@helixcode/protocol/merge/merge-view';
import { isSettled } from '@helixcode/protocol/task/task-state';
import { appendEvents } from '../events/event-log.ts';
import { GitError } from '../projects/git.ts';
import { keepCommit } from '../projects/merge-refs.ts';
import { getTask } from '../tasks/task-sql.ts';
import { advanceQueue, bringRef, refuse } from './advance-queue.ts';
import type { MergeContext } from './merge-context.ts';
import type { EntryRow, QueueRow } from './merge-row.ts';
import {
  findEntry,
  findNextEntry,
  getEntry,
  getQueue,
  handInEntry,
  insertEntry,
  insertQueue,
  listActiveQueues,
  listQueues,
} from './merge-sql.ts';
import { tellMove } from './move-entry.ts';

/** How often queues are found that go on although nobody here was told so: those of a server that is gone, or whose tree is over. */
const SWEEP_MS = 2_000;
/** A step that fails this often in a row is a fault that waiting does not mend. */
const FAILURES_BEFORE_GIVING_UP = 5;
const MAX_TRIES = 5;
const MAX_TITLE = 200;

export interface NewQueue {
  /** The tree whose changes it takes. */
  root: TaskId;
  project: ProjectId;
  /** Where it begins: a commit that the server holds. */
  base: string;
  /** How often a change may be handed in; 5 when absent. */
  maxTries?: number;
}

export interface NewEntry {
  queue: MergeQueueId;
  /** Unique in the queue, so that entering twice makes one entry. */
  key: string;
  /** Owns the change; of the tree of the queue. */
  task: TaskId;
  /** The work: a commit that the server holds, and that began at a commit of the queue's history. */
  commit: string;
  /** First line of the message of the commit that is made of it. */
  title: string;
}

/** How an entry stands. */
export interface MergeOutcome {
  entry: MergeEntryId;
  state: MergeState;
  /** Which time it was handed in, from 1. */
  try: number;
  /** How often it may be handed in again. */
  triesLeft: number;
  /** The newest commit of the queue: what a next try has to fit. */
  tip: string;
  /** Of a merged one: the commit of the queue that holds it. */
  commit: string | undefined;
  /** Ids of the receipts of what verified it. */
  receipts: readonly string[];
  /** Why its last try went back to the owner. */
  returned: MergeReturn | undefined;
  /** Of a refused one. */
  failure: ErrorFact | undefined;
}

/**
 * Takes the changes that the tasks of a tree make to a project, one after the other in the order in which they came: each is merged
 * onto what was merged before it as one commit, and what comes out is verified before the next. A change that does not fit goes back
 * to the task that owns it, which may hand it in again and keeps its place.
 *
 * The owner's driver and the root's are woken when an entry is merged, given back or refused.
 */
export interface MergeQueues {
  /**
   * The queue of a tree and project, made when there is none; the base and tries of one that is there stay.
   *
   * @throws CodedError `task.not_found`, `merge.closed` when the tree is over, `snapshot.refused` when the server does not have the base
   */
  openQueue(queue: NewQueue): Promise<QueueRow>;
  /**
   * @returns the entry; that of the key, as it stands, when it was entered before
   * @throws CodedError `merge.not_found`, `merge.closed` when the tree is over, `task.not_found` for an owner that is not of the tree,
   *   `snapshot.refused` when the server does not have the commit
   */
  enter(entry: NewEntry): Promise<MergeOutcome>;
  /**
   * The owner's next try, after the one numbered `after` was given back. Doing it twice is harmless.
   *
   * @throws CodedError `merge.not_found`, `snapshot.refused`; `merge.move_refused` when that try was not given back
   */
  enterAgain(entry: MergeEntryId, next: { after: number; commit: string }): Promise<MergeOutcome>;
  /** Refuses what is not merged yet, as its owner no longer wants it. One that is merged or refused stays so. @throws CodedError `merge.not_found` */
  withdraw(entry: MergeEntryId, why: string): Promise<MergeOutcome>;
  /** @throws CodedError `merge.not_found` */
  outcomeOf(entry: MergeEntryId): Promise<MergeOutcome>;
  /** Goes on with queues of a tree that was paused. */
  wake(queue: MergeQueueId): void;
  /** Resolves when no step of this process is under way; waits for verdicts are ended. Nothing more is begun. */
  stop(): Promise<void>;
}

/** @param deps `isFirst`: whether this server looks after queues that nobody drives */
export function createMergeQueues(deps: MergeContext & { isFirst?: () => boolean }): MergeQueues {
  const { db, mirrors, log } = deps;
  const isFirst = deps.isFirst ?? (() => true);
  const driven = new Map<MergeQueueId, { over: Promise<void>; abort: AbortController }>();
  const wokenAgain = new Set<MergeQueueId>();
  /** Steps that failed in a row. */
  const failures = new Map<MergeQueueId, number>();
  let isStopped = false;

  function wake(queue: MergeQueueId): void {
    if (isStopped) return;
    if (driven.has(queue)) return void wokenAgain.add(queue);
    const abort = new AbortController();
    const over = drive(queue, abort.signal).finally(() => {
      driven.delete(queue);
      if (wokenAgain.delete(queue)) wake(queue);
    });
    driven.set(queue, { over, abort });
  }

  async function drive(queue: MergeQueueId, signal: AbortSignal): Promise<void> {
    try {
      do {
        wokenAgain.delete(queue);
        while (!signal.aborted && (await advanceQueue(deps, queue, signal))) failures.delete(queue);
      } while (!signal.aborted && wokenAgain.has(queue));
    } catch (error) {
      if (signal.aborted) return;
      await takeFailure(queue, error).catch((cause: unknown) => log.warn({ err: cause, queue }, 'a merge queue is stuck; tried again'));
    }
  }

  /** What keeps failing is refused, so that those behind it go on. */
  async function takeFailure(queue: MergeQueueId, error: unknown): Promise<void> {
    log.warn({ err: error, queue }, 'a step of a merge queue failed and will be tried again');
    const isAway = error instanceof CodedError && (error.code.startsWith('database.') || error.code.startsWith('server.'));
    if (isAway) return;
    const count = (failures.get(queue) ?? 0) + 1;
    failures.set(queue, count);
    if (count < FAILURES_BEFORE_GIVING_UP) return;
    failures.delete(queue);
    const entry = await findNextEntry(db, queue);
    // Before one is taken, no entry is to blame.
    if (!entry || entry.state === 'waiting') return;
    const message = `${entry.title} could not be merged: ${error instanceof GitError ? error.reason : error instanceof Error ? error.message : String(error)}`;
    await refuse(deps, queue, entry, { code: 'merge.failed', message });
  }

  /** What is under way is not wanted any more: the queue is looked at afresh. */
  function interrupt(queue: MergeQueueId): void {
    const drive = driven.get(queue);
    if (!drive) return wake(queue);
    wokenAgain.add(queue);
    drive.abort.abort();
  }

  async function sweep(): Promise<void> {
    if (!isFirst() && driven.size === 0) return;
    for (const { id, root_state } of await listActiveQueues(db)) {
      const drive = driven.get(id);
      // The next step closes the queue of a tree that is over.
      if (drive && isSettled(root_state)) interrupt(id);
      else if (!drive && isFirst()) wake(id);
    }
  }

  let sweeping: Promise<void> | undefined;
  const look = (): void => {
    sweeping ??= sweep()
      .catch((error: unknown) => log.debug({ err: error }, 'merge queues were not looked at and will be soon'))
      .finally(() => {
        sweeping = undefined;
      });
  };
  const timer = setInterval(look, SWEEP_MS);
  // What the last server left.
  look();

  async function keep(project: ProjectId, commit: string): Promise<void> {
    if (!(await mirrors.hasCommit(project, commit)))
      throw new CodedError('snapshot.refused', `the server does not have commit ${commit.slice(0, 12)} of project ${project}`, {
        next: 'helix test',
      });
    await keepCommit(db, mirrors, project, commit);
  }

  async function refuseOver(root: TaskId): Promise<void> {
    const task = await getTask(db, root);
    if (isSettled(task.state))
      throw new CodedError('merge.closed', `${task.name} (${root}) is ${task.state}: nothing more is merged for it`, {
        next: `helix tasks show ${root}`,
      });
  }

  const outcomeOf = async (id: MergeEntryId): Promise<MergeOutcome> => {
    const entry = await getEntry(db, id);
    return toOutcome(entry, await getQueue(db, entry.queue_id));
  };

  return {
    wake,
    outcomeOf,

    async openQueue({ root, project, base, maxTries = MAX_TRIES }) {
      await refuseOver(root);
      await keep(project, base);
      const id = newId('mergeQueue');
      const made = await db.tx(async (tx) => {
        const row = await insertQueue(tx, { id, root, project, base, maxTries });
        if (!row) return undefined;
        await appendEvents(tx, [{ root, task: root, project, body: { type: 'merge.opened', queue: id, base } }]);
        tx.afterCommit(deps.wakeEvents);
        return row;
      });
      const queue = made ?? (await listQueues(db, root)).find((row) => row.project_id === project);
      if (!queue) throw new Error(`the merge queue of ${root} was not made`);
      if (queue.ref_commit !== queue.tip_commit) await bringRef(deps, queue.id);
      return getQueue(db, queue.id);
    },

    async enter({ queue: id, key, task, commit, title }) {
      const queue = await getQueue(db, id);
      const known = await findEntry(db, id, key);
      if (known) {
        wake(id);
        return toOutcome(known, queue);
      }
      await refuseOver(queue.root_id);
      await keep(queue.project_id, commit);
      await db.tx(async (tx) => {
        const entry = await insertEntry(tx, { id: newId('mergeEntry'), queue: id, key, task, commit, title: oneLine(title) });
        if (entry) await tellMove(tx, deps, queue, entry, undefined);
      });
      const entry = await findEntry(db, id, key);
      if (!entry)
        throw new CodedError('task.not_found', `there is no task ${task} in the tree ${queue.root_id}`, {
          next: `helix tasks show ${queue.root_id}`,
        });
      wake(id);
      return toOutcome(entry, await getQueue(db, id));
    },

    async enterAgain(id, { after, commit }) {
      const entry = await getEntry(db, id);
      const queue = await getQueue(db, entry.queue_id);
      if (entry.try === after + 1 && entry.commit_hash === commit) return toOutcome(entry, queue);
      await keep(queue.project_id, commit);
      const moved = await db.tx(async (tx) => {
        const row = await handInEntry(tx, { id, try: after }, commit);
        if (row) await tellMove(tx, deps, queue, row, 'conflict');
        return row;
      });
      if (!moved) {
        const now = await getEntry(db, id);
        if (now.try === after + 1 && now.commit_hash === commit) return toOutcome(now, queue);
        throw new CodedError(
          'merge.move_refused',
          `try ${after} of ${now.title} was not given back: it is ${now.state} at try ${now.try}`,
          {
            next: `helix tasks merges ${queue.root_id}`,
          },
        );
      }
      wake(queue.id);
      return toOutcome(moved, await getQueue(db, queue.id));
    },

    async withdraw(id, why) {
      const entry = await getEntry(db, id);
      if (entry.finished_at === null)
        await refuse(deps, entry.queue_id, entry, { code: 'merge.withdrawn', message: `${entry.title} was withdrawn: ${why}` });
      interrupt(entry.queue_id);
      return outcomeOf(id);
    },

    async stop() {
      isStopped = true;
      clearInterval(timer);
      wokenAgain.clear();
      await sweeping;
      for (const { abort } of driven.values()) abort.abort();
      await Promise.all([...driven.values()].map(({ over }) => over));
    },
  };
}

function toOutcome(entry: EntryRow, queue: QueueRow): MergeOutcome {
  return {
    entry: entry.id,
    state: entry.state,
    try: entry.try,
    triesLeft: queue.max_tries - entry.try,
    tip: queue.tip_commit,
    commit: entry.state === 'merged' ? (entry.made_commit ?? undefined) : undefined,
    receipts: entry.receipts,
    returned: entry.returned ?? undefined,
    failure: entry.failure ?? undefined,
  };
}

function oneLine(title: string): string {
  return title.replace(/\s+/g, ' ').trim().slice(0, MAX_TITLE).toWellFormed() || 'Change';
}
