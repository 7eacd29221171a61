import { GC_KINDS, type GcItem, type GcReport } from '@helixcode/protocol/api/gc-report';
import { CodedError } from '@helixcode/protocol/errors';
import type { TaskId } from '@helixcode/protocol/ids';
import type { Tidied, TidyLimits } from '@helixcode/protocol/worker/tidy';
import type { Logger } from 'pino';
import type { Db } from '../db/db.ts';
import type { DriverArchive } from '../engine/durable-engine.ts';
import { collectBlobs } from './collect-blobs.ts';
import { collectRefs } from './collect-refs.ts';
import {
  deleteConnectivity,
  deleteEvents,
  deleteMarkedOutput,
  deleteTree,
  dropCheckpoints,
  findFirstKeptEvent,
  type Heap,
  listOldTrees,
  listTreesWithOldCheckpoints,
  listTreesWithOldOutput,
  listUnfinished,
  markOutputRemoved,
  measureConnectivity,
  measureEvents,
  type TreeGarbage,
  tryLockSweep,
} from './retention-sql.ts';
import { DAY_MS, type Kept, type Sweep } from './sweep.ts';
import { Tally } from './tally.ts';

/** Output goes in statements of at most so many pieces of up to 64 KiB: none holds locks, or the log of the database, for long. */
const PIECES_AT_ONCE = 500;
const ROWS_AT_ONCE = 5_000;
const DRIVERS_AT_ONCE = 200;

export interface GarbageDeps extends Kept {
  log: Logger;
  engine: Promise<DriverArchive>;
  workers: { tidy(limits: TidyLimits, dryRun: boolean): Promise<{ worker: string; items: Tidied[] }[]> };
}

/**
 * Removes what the limits no longer keep, or with `dryRun` finds the same and leaves it. One server sweeps at a time;
 * nothing of a tree that goes on is touched.
 *
 * @param signal ends the sweep between two statements
 * @throws CodedError `gc.busy` while another sweep is under way
 */
export async function collectGarbage(deps: GarbageDeps, options: { dryRun: boolean; signal?: AbortSignal }): Promise<GcReport> {
  const { db, retention } = deps;
  const { dryRun, signal } = options;
  return db.tx(async (lock) => {
    if (!(await tryLockSweep(lock)))
      throw new CodedError('gc.busy', 'a sweep or a backup is under way, on this server or one that shares its database', {
        next: 'helix gc, in a while',
      });
    const startMs = Date.now();
    const sweep: Sweep = { ...deps, dryRun, before: (days) => new Date(startMs - days * DAY_MS) };
    const tallies = new Map(GC_KINDS.map((kind) => [kind, new Tally()]));
    const tally = (kind: (typeof GC_KINDS)[number]): Tally => tallies.get(kind) ?? new Tally();

    // A tree takes its output and its checkpoints with it, and those go by themselves: then no statement is large.
    const tasksBefore = sweep.before(retention.taskDays);
    await collectOutput(sweep, later(sweep.before(retention.outputDays), tasksBefore), tally('output'), signal);
    await collectCheckpoints(sweep, later(sweep.before(retention.checkpointDays), tasksBefore), tally('checkpoints'), signal);
    await collectTrees(sweep, tasksBefore, tally('tasks'), signal);
    await collectRefs(sweep, tally('snapshots'), signal);
    await collectBlobs(sweep, tally('blobs'), signal);
    await collectEvents(sweep, tally('events'), signal);
    await collectConnectivity(sweep, tally('connections'), signal);
    await collectDrivers(sweep, await deps.engine, tally('workflows'), signal);
    const items: GcItem[] = [...tallies].map(([kind, found]) => ({ kind, ...found.view() }));
    return { dryRun, items: [...items, ...(await tidyWorkers(deps, startMs, dryRun, signal))] };
  });
}

async function collectOutput(sweep: Sweep, before: Date, tally: Tally, signal: AbortSignal | undefined): Promise<void> {
  const { db, dryRun, retention } = sweep;
  for (const tree of await listTreesWithOldOutput(db, before, retention.outputBytes)) {
    signal?.throwIfAborted();
    if (dryRun) tally.addTree(tree);
    else if (await db.tx((tx) => markOutputRemoved(tx, tree.root_id))) {
      let bytes = 0;
      for (;;) {
        const gone = await deleteMarkedOutput(db, tree.root_id, PIECES_AT_ONCE);
        bytes += gone.bytes;
        if (gone.pieces < PIECES_AT_ONCE) break;
        signal?.throwIfAborted();
      }
      tally.add({ count: tree.count, bytes, oldest: tree.finished_at });
    }
  }
}

function collectCheckpoints(sweep: Sweep, before: Date, tally: Tally, signal: AbortSignal | undefined): Promise<void> {
  return collectByTree(sweep, () => listTreesWithOldCheckpoints(sweep.db, before), dropCheckpoints, tally, signal);
}

function collectTrees(sweep: Sweep, before: Date, tally: Tally, signal: AbortSignal | undefined): Promise<void> {
  return collectByTree(sweep, () => listOldTrees(sweep.db, before), deleteTree, tally, signal);
}

async function collectByTree(
  { db, dryRun }: Sweep,
  list: () => Promise<TreeGarbage[]>,
  remove: (tx: Db, root: TaskId) => Promise<boolean>,
  tally: Tally,
  signal: AbortSignal | undefined,
): Promise<void> {
  for (const tree of await list()) {
    signal?.throwIfAborted();
    if (dryRun || (await db.tx((tx) => remove(tx, tree.root_id)))) tally.addTree(tree);
  }
}

async function collectEvents(sweep: Sweep, tally: Tally, signal: AbortSignal | undefined): Promise<void> {
  const firstKept = await findFirstKeptEvent(sweep.db, sweep.before(sweep.retention.eventDays));
  if (sweep.dryRun) tally.add(await measureEvents(sweep.db, firstKept));
  else await inPieces((limit) => deleteEvents(sweep.db, firstKept, limit), tally, signal);
}

async function collectConnectivity(sweep: Sweep, tally: Tally, signal: AbortSignal | undefined): Promise<void> {
  const before = sweep.before(sweep.retention.eventDays);
  if (sweep.dryRun) tally.add(await measureConnectivity(sweep.db, before));
  else await inPieces((limit) => deleteConnectivity(sweep.db, before, limit), tally, signal);
}

async function inPieces(remove: (limit: number) => Promise<Heap>, tally: Tally, signal: AbortSignal | undefined): Promise<void> {
  for (;;) {
    const gone = await remove(ROWS_AT_ONCE);
    tally.add(gone);
    if (gone.count < ROWS_AT_ONCE) return;
    signal?.throwIfAborted();
  }
}

async function collectDrivers(
  { db, dryRun, before, retention }: Sweep,
  engine: DriverArchive,
  tally: Tally,
  signal: AbortSignal | undefined,
): Promise<void> {
  let left = 0;
  for (;;) {
    const over = await engine.listOver(before(retention.workflowDays), DRIVERS_AT_ONCE, left);
    const taskOf = (id: string): TaskId => id.split('.')[0] as TaskId;
    const unfinished = await listUnfinished(
      db,
      over.map(({ id }) => taskOf(id)),
    );
    const gone = over.filter(({ id }) => !unfinished.has(taskOf(id)));
    if (!dryRun) await engine.forget(gone.map(({ id }) => id));
    for (const { at } of gone) tally.add({ count: 1, oldest: at });
    left += dryRun ? over.length : over.length - gone.length;
    if (over.length < DRIVERS_AT_ONCE) return;
    signal?.throwIfAborted();
  }
}

async function tidyWorkers(
  { retention, workers }: GarbageDeps,
  nowMs: number,
  dryRun: boolean,
  signal: AbortSignal | undefined,
): Promise<GcItem[]> {
  signal?.throwIfAborted();
  const limits = { unusedMs: retention.workerDays * DAY_MS, setupBytes: retention.workerSetupBytes };
  return (await workers.tidy(limits, dryRun)).flatMap(({ worker, items }) =>
    items.map(({ unusedMs, ...item }) => ({
      ...item,
      worker,
      ...(unusedMs !== undefined && { oldest: new Date(nowMs - unusedMs).toISOString() }),
    })),
  );
}

function later(a: Date, b: Date): Date {
  return a > b ? a : b;
}
