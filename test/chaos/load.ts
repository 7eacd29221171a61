import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CodedError } from '@helixcode/protocol/errors';
import { snapshotOf } from '../support/hand-in.ts';
import { isUnanswered } from './ask-servers.ts';
import { givenChance } from './chance.ts';
import { sampleFiles } from './sample-files.ts';
import { planTask, type Sources, type TaskPlan } from './task-plans.ts';
import type { World } from './world.ts';

/** Trees that are under way at once: the slots of the pool have something to do, and two cores keep up. */
const TREES_AT_ONCE = 7;
const LOOK_EVERY_MS = 150;

/** What became of handing one in. */
export interface HandedIn {
  plan: TaskPlan;
  /** Its id, where the server said that it has it. */
  id: string | undefined;
  /** The server said that it is cancelled. */
  isCancelled: boolean;
}

export interface Load {
  handedIn: HandedIn[];
  sources: Sources;
  /** Hands in new tasks as others end, until `signal`. */
  run(signal: AbortSignal): Promise<void>;
  /** Waits until all that was handed in is over. @returns how many trees were not in time */
  drain(withinMs: number): Promise<number>;
}

export async function givenLoad(world: World, seed: string): Promise<Load> {
  const chance = givenChance(`${seed}/load`);
  const effects = path.join(world.folder, 'effects');
  writeFileSync(effects, '');
  const sources = await givenSources(world, effects);
  const handedIn: HandedIn[] = [];
  const cancelling: Promise<void>[] = [];

  const handIn = async (plan: TaskPlan): Promise<void> => {
    const one: HandedIn = { plan, id: undefined, isCancelled: false };
    handedIn.push(one);
    try {
      one.id = (await world.askOnce((client, signal) => client.call('tasks.submit', { body: plan.submission, signal }))).id;
    } catch (error) {
      // Whether the server has it, the books will tell: it is not handed in again.
      if (!isUnanswered(error)) throw new Error(`${plan.name} was refused`, { cause: error });
    }
    if (plan.cancelAfterMs !== undefined && one.id !== undefined) cancelling.push(cancelLater(world, one, plan.cancelAfterMs));
  };
  return {
    handedIn,
    sources,
    async run(signal) {
      for (let number = 1; !signal.aborted; await sleep(LOOK_EVERY_MS)) {
        for (let open = await openTrees(world); open < TREES_AT_ONCE && !signal.aborted; open++)
          await handIn(planTask(`t${number++}`, chance, sources));
      }
    },
    async drain(withinMs) {
      const deadlineMs = performance.now() + withinMs;
      await Promise.all(cancelling);
      for (;;) {
        const open = await openTrees(world);
        if (open === 0 || performance.now() > deadlineMs) return open;
        await sleep(LOOK_EVERY_MS);
      }
    },
  };
}

/** Trees that are not over; as many as there may be while the books cannot be read. */
async function openTrees({ database }: World): Promise<number> {
  try {
    const { rows } = await database.db.query<{ open: number }>(
      'select count(*)::int as open from distributed_tasks where parent_id is null and finished_at is null',
    );
    return rows[0]?.open ?? 0;
  } catch (error) {
    if (error instanceof CodedError) return TREES_AT_ONCE;
    throw error;
  }
}

async function cancelLater(world: World, one: HandedIn, afterMs: number): Promise<void> {
  await sleep(afterMs);
  try {
    await world.ask((client, signal) => client.call('tasks.cancel', { params: { task: one.id ?? '' }, signal }));
    one.isCancelled = true;
  } catch (error) {
    // It was over before; or an earlier question was heard and its answer lost.
    if (!(error instanceof CodedError && error.code === 'task.move_refused')) throw error;
  }
}

async function givenSources(world: World, effects: string): Promise<Sources> {
  const folder = path.join(world.folder, 'sample');
  for (const [name, text] of Object.entries(sampleFiles(effects))) {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    writeFileSync(path.join(folder, name), text);
  }
  const git = (...args: string[]): void =>
    void execFileSync('git', ['-c', 'user.name=chaos', '-c', 'user.email=chaos@example.org', ...args], { cwd: folder });
  git('init', '-q');
  git('add', '.');
  git('commit', '-qm', 'One sample');
  const source = await world.ask((client) => snapshotOf(client, folder));
  return { ...source, effects };
}
