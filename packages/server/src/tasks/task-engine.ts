import type { TaskId } from '@helixcode/protocol/ids';
import type { DurableEngine, Turn } from '../engine/durable-engine.ts';
import { cancelTask } from './cancel-task.ts';
import { createTaskDriver, type DriverDeps } from './drive-task.ts';
import { createLeafTimes } from './leaf-times.ts';
import { type PlacementLoop, startPlacement } from './place-tasks.ts';
import { driverId, type TaskContext } from './task-context.ts';
import type { TaskRow } from './task-row.ts';
import { findRound, listDriven, listOverdue } from './task-sql.ts';
import { watchSilence } from './watch-silence.ts';

/** How often deadlines are looked at, and drivers that nobody started are found. */
const SWEEP_MS = 1_000;

export interface TaskEngine {
  context: TaskContext;
  turn(driver: string): Promise<Turn>;
  /** Places nothing more: what is ready is left to other servers. */
  stopPlacing(): Promise<void>;
  startDriver(task: Pick<TaskRow, 'id' | 'attempts'>): void;
  stop(): Promise<void>;
}

/**
 * Sets tasks in motion: placement, drivers and deadlines. The durable engine may open later than this (the API answers
 * meanwhile); drivers asked for until then start when it is there.
 */
export function startTaskEngine(
  deps: Omit<DriverDeps, 'leafTimes' | 'wakePlacement' | 'wakeDriver'> & {
    engine: Promise<DurableEngine>;
    lostAfterMs: number;
    /** Whether this server looks after what one of several must: deadlines, silent workers, drivers that nobody started. */
    isFirst?: () => boolean;
  },
): TaskEngine {
  const isFirst = deps.isFirst ?? (() => true);
  /** Round of each driver this server has started: what a wake-up needs to name it. */
  const rounds = new Map<TaskId, number>();
  /** Subtasks that have ended, by their parent, and the count at which its resting driver is called back. */
  const endsBelow = new Map<TaskId, number>();
  const restsUntilEnds = new Map<TaskId, number>();
  let placement: PlacementLoop | undefined;

  const context: DriverDeps = {
    ...deps,
    leafTimes: createLeafTimes(),
    wakePlacement: () => placement?.wake(),
    wakeDriver(task, ended) {
      const round = rounds.get(task);
      if (round === undefined) return wakeUnknown(task);
      const ends = (endsBelow.get(task) ?? 0) + (ended ?? 0);
      endsBelow.set(task, ends);
      const isUrgent = ended === undefined || ends >= (restsUntilEnds.get(task) ?? 0);
      void deps.engine.then((engine) => engine.wake(driverId(task, round), { isUrgent }));
    },
  };
  const drive = createTaskDriver(context);

  function startDriver(task: Pick<TaskRow, 'id' | 'attempts'>): void {
    rounds.set(task.id, task.attempts);
    deps.engine
      .then((engine) => engine.start(driverId(task.id, task.attempts)))
      .catch((error: unknown) => {
        rounds.delete(task.id);
        deps.log.error({ err: error, task: task.id }, 'a driver could not be started and will be tried again');
      });
  }

  /** Its driver was started by another server, or by an earlier life of this one. */
  function wakeUnknown(task: TaskId): void {
    findRound(deps.db, task)
      .then((round) => {
        if (round === undefined) return;
        rounds.set(task, round);
        context.wakeDriver(task);
      })
      .catch((error: unknown) => deps.log.debug({ err: error, task }, 'a driver was not woken and looks by itself later'));
  }

  async function sweep(): Promise<void> {
    const known = [...rounds.keys()];
    const driven = await listDriven(deps.db);
    const living = new Set(driven.map(({ id }) => id));
    // Those of other servers end unheard.
    for (const id of known) if (!living.has(id)) for (const map of [rounds, endsBelow, restsUntilEnds]) map.delete(id);
    if (!isFirst()) return;
    for (const task of driven) if (rounds.get(task.id) !== task.attempts) startDriver(task);
    for (const { id, name } of await listOverdue(deps.db)) {
      const failure = {
        code: 'task.deadline_passed' as const,
        message: `the deadline of ${name} has passed`,
        next: `helix tasks retry ${id}`,
      };
      await cancelTask(context, id, failure).catch((error: unknown) =>
        deps.log.warn({ err: error, task: id }, 'an overdue task was not ended'),
      );
    }
  }

  placement = startPlacement(context);
  let sweeping: Promise<void> | undefined;
  const timer = setInterval(() => {
    sweeping ??= sweep()
      .catch((error: unknown) => deps.log.warn({ err: error }, 'the sweep of tasks failed and will be tried again'))
      .finally(() => {
        sweeping = undefined;
      });
  }, SWEEP_MS);
  const silence = watchSilence({ ...context, nameOfWorker: deps.nameOfWorker, lostAfterMs: deps.lostAfterMs, isFirst });
  deps.pool.onChange(() => {
    placement?.wake();
    silence.wake();
  });

  return {
    context,
    startDriver,
    async turn(driver) {
      const task = driver.split('.')[0] as TaskId;
      // What ends while the driver looks may be missing from what it sees.
      const endsBefore = endsBelow.get(task) ?? 0;
      const { restEnds, ...turn } = { restEnds: undefined, ...(await drive(driver)) };
      if (restEnds === undefined) restsUntilEnds.delete(task);
      else restsUntilEnds.set(task, endsBefore + restEnds);
      if (turn.over) for (const known of [rounds, endsBelow, restsUntilEnds]) known.delete(task);
      return turn;
    },
    async stopPlacing() {
      const loop = placement;
      placement = undefined;
      await loop?.stop();
    },
    async stop() {
      clearInterval(timer);
      await silence.stop();
      await placement?.stop();
      await sweeping;
    },
  };
}
