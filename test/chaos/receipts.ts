import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { ChaosWorker } from './chaos-workers.ts';

/** What the jobs themselves and their supervisors wrote down, apart from the product's books. */
export interface Receipts {
  /** Attempt → what its command did. */
  effects: Map<string, { begins: number; ends: number; exitCode: number | undefined }>;
  /** Attempt → exit status that its supervisor recorded on the worker; `undefined` where it recorded none. */
  exits: Map<string, number | undefined>;
}

export function readReceipts(effectsFile: string, workers: readonly Pick<ChaosWorker, 'receipts'>[]): Receipts {
  const effects: Receipts['effects'] = new Map();
  for (const line of readFileSync(effectsFile, 'utf8').split('\n')) {
    const [, attempt, what, exitCode] = /^(\S+) (begin|end)(?: (\d+))?$/.exec(line) ?? [];
    if (attempt === undefined) continue;
    const one = effects.get(attempt) ?? { begins: 0, ends: 0, exitCode: undefined };
    effects.set(attempt, one);
    if (what === 'begin') one.begins++;
    else {
      one.ends++;
      one.exitCode = Number(exitCode);
    }
  }
  const exits: Receipts['exits'] = new Map();
  for (const { receipts } of workers)
    for (const attempt of readdirSync(receipts)) {
      const exitCode = /^rc (\d+)$/m.exec(readFileSync(path.join(receipts, attempt), 'utf8'))?.[1];
      exits.set(attempt, exitCode === undefined ? undefined : Number(exitCode));
    }
  return { effects, exits };
}
