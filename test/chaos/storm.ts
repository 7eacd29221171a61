import { appendFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { givenChance } from './chance.ts';
import { FAULTS, type Fault, type Strike } from './faults.ts';
import type { World } from './world.ts';

/** Pause between two faults; what one did often lasts into the next. */
const BETWEEN_MS = [400, 3_000] as const;
/** A fault waits so long until what it strikes is well again, and is left out then. */
const WAITS_MS = 5_000;
const LOOK_EVERY_MS = 50;

/** A fault as it happened. Times are of the machine's clock. */
export interface Struck {
  kind: string;
  targets: string[];
  isKill: boolean;
  touches: string[] | undefined;
  at: Date;
  /** When what was broken was mended; the same as `at` where nothing had to be. */
  healedAt: Date;
}

export interface Storm {
  struck: Struck[];
  /** Servers that ended although nobody ended them, and faults that could not be brought about or mended. */
  surprises: string[];
}

/** Lets faults happen to a world, in the order that the seed gives, until `signal`; then all is mended. */
export async function storm(world: World, seed: string, signal: AbortSignal): Promise<Storm> {
  const chance = givenChance(`${seed}/storm`);
  const busy = new Set<string>();
  const struck: Struck[] = [];
  const surprises: string[] = [];
  const healing = new Set<Promise<void>>();
  let deck: Fault[] = [];

  /** What is drawn, and in which order, does not depend on how long anything takes. */
  const draw = (): { fault: Fault; strike: Strike } | undefined => {
    // Each kind comes up in its turn, so that a short run has all of them.
    if (deck.length === 0) deck = chance.shuffled(FAULTS.flatMap((fault) => Array.from({ length: fault.weight }, () => fault)));
    const fault = deck.pop();
    const strike = fault?.aim(world, chance);
    return fault && strike && { fault, strike };
  };
  /** @returns whether the time for it has come, at last */
  const isTimely = async ({ targets, mayBegin }: Strike): Promise<boolean> => {
    for (const deadlineMs = performance.now() + WAITS_MS; performance.now() < deadlineMs && !signal.aborted; await sleep(LOOK_EVERY_MS))
      if (targets.every((target) => !busy.has(target)) && (mayBegin?.() ?? true)) return true;
    return false;
  };
  const act = async ({ fault, strike }: { fault: Fault; strike: Strike }): Promise<void> => {
    for (const target of strike.targets) busy.add(target);
    try {
      const touches = await strike.touches();
      if (!(await strike.inject())) return;
      const at = new Date();
      const one: Struck = { kind: fault.kind, targets: strike.targets, isKill: fault.isKill, touches, at, healedAt: at };
      struck.push(one);
      note(world, { at, kind: fault.kind, targets: strike.targets, holdMs: strike.holdMs });
      if (strike.holdMs === 0) return;
      await sleep(strike.holdMs, undefined, { signal }).catch(() => {});
      const healedAt = new Date();
      await strike.heal();
      one.healedAt = healedAt;
      note(world, { at: new Date(), kind: `${fault.kind}: mended`, targets: strike.targets });
    } finally {
      for (const target of strike.targets) busy.delete(target);
    }
  };

  while (!signal.aborted) {
    const next = draw();
    const pauseMs = chance.between(...BETWEEN_MS);
    if (next && (await isTimely(next.strike))) {
      const acting = act(next)
        .catch((error: unknown) => void surprises.push(`${next.fault.kind} could not be done: ${String(error)}`))
        .finally(() => healing.delete(acting));
      healing.add(acting);
    }
    await sleep(pauseMs, undefined, { signal }).catch(() => {});
    for (const server of world.servers) {
      if (busy.has(server.name) || !server.hasEndedByItself()) continue;
      surprises.push(`${server.name} ended by itself at ${new Date().toISOString()}`);
      await server.kill();
      await server.start();
    }
  }
  await Promise.all(healing);
  return { struck, surprises };
}

function note({ folder }: World, what: object): void {
  appendFileSync(path.join(folder, 'faults.jsonl'), `${JSON.stringify(what)}\n`);
}
