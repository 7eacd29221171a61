import { execFile } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { removeHome } from '../../test/support/server-process.ts';
import { atMost, type Measurement, quantile } from './measurement.ts';

const HELIX = path.resolve(import.meta.dirname, '../../packages/cli/bin/helix.js');
const FIRST_RUNS = 3;
const WARM_RUNS = 5;

/** From `helix up` to the first answered request (`up` ends when the API has answered it), with and without a database. */
export async function measure(): Promise<Measurement> {
  const firstMs: number[] = [];
  const warmMs: number[] = [];
  for (let n = 0; n < FIRST_RUNS; n++) {
    const home = mkdtempSync(path.join(tmpdir(), 'helix-bench-'));
    firstMs.push(await timeUp(home));
    await helix(home, 'down', '--workers');
    if (n === FIRST_RUNS - 1) {
      for (let run = 0; run < WARM_RUNS; run++) {
        warmMs.push(await timeUp(home));
        await helix(home, 'down', '--workers');
      }
    }
    await removeHome(home);
  }
  const bareMs: number[] = [];
  for (let n = 0; n < WARM_RUNS; n++) {
    const startMs = performance.now();
    await promisify(execFile)(process.execPath, ['-e', '0']);
    bareMs.push(performance.now() - startMs);
  }
  const [first, warm, bare] = [firstMs, warmMs, bareMs].map((runs) => quantile(runs, 0.5)) as [number, number, number];
  return {
    metrics: { firstStartMs: first, warmStartMs: warm, ratioWarmToBareNode: warm / bare },
    baseline: { name: 'node -e 0', metrics: { bareNodeMs: bare } },
    bars: [atMost('first start in ms', first, 6_000), atMost('warm start in ms', warm, 1_500)],
  };
}

async function timeUp(home: string): Promise<number> {
  const startMs = performance.now();
  await helix(home, 'up', '--port', '0');
  return performance.now() - startMs;
}

async function helix(home: string, ...args: string[]): Promise<void> {
  await promisify(execFile)(process.execPath, [HELIX, ...args], { env: { ...process.env, HELIX_HOME: home } });
}
