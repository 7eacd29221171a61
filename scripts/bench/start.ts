import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { removeHome } from '../../test/support/server-process.ts';
import { mustRun } from '../demo/command.ts';
import { atMost, type Measurement, quantile } from './measurement.ts';

const HELIX = path.resolve(import.meta.dirname, '../../packages/cli/bin/helix.js');
const FIRST_RUNS = 3;
const WARM_RUNS = 5;

/** From `helix up` to the first answered request (`up` ends when the API has answered it), with and without what an earlier start left. */
export async function measure(cleanUp: AsyncDisposableStack): Promise<Measurement> {
  const firstMs: number[] = [];
  const warmMs: number[] = [];
  for (let n = 0; n < FIRST_RUNS; n++) {
    const home = mkdtempSync(path.join(tmpdir(), 'helix-bench-'));
    const cache = mkdtempSync(path.join(tmpdir(), 'helix-cache-'));
    cleanUp.defer(() => rmSync(cache, { recursive: true, force: true }));
    cleanUp.defer(async () => {
      await helix(home, cache, 'down', '--workers').catch(() => {});
      await removeHome(home);
    });
    firstMs.push(await timeUp(home, cache));
    await helix(home, cache, 'down');
    if (n < FIRST_RUNS - 1) continue;
    for (let run = 0; run < WARM_RUNS; run++) {
      warmMs.push(await timeUp(home, cache));
      await helix(home, cache, 'down');
    }
  }
  const bareMs: number[] = [];
  for (let n = 0; n < WARM_RUNS; n++) {
    const startMs = performance.now();
    await mustRun(process.execPath, ['-e', '0']);
    bareMs.push(performance.now() - startMs);
  }
  const [first, warm, bare] = [quantile(firstMs, 0.5), quantile(warmMs, 0.5), quantile(bareMs, 0.5)];
  return {
    metrics: { firstStartMs: first, warmStartMs: warm, ratioFirstToBareNode: first / bare, ratioWarmToBareNode: warm / bare },
    baseline: { name: 'node -e 0', metrics: { bareNodeMs: bare } },
    bars: [atMost('first start in ms', first, 6_000), atMost('warm start in ms', warm, 1_500)],
  };
}

async function timeUp(home: string, cache: string): Promise<number> {
  const startMs = performance.now();
  await helix(home, cache, 'up', '--port', '0');
  return performance.now() - startMs;
}

async function helix(home: string, cache: string, ...args: string[]): Promise<void> {
  await mustRun(process.execPath, [HELIX, ...args], { env: { ...process.env, HELIX_HOME: home, XDG_CACHE_HOME: cache } });
}
