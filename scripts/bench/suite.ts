import { rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import type { TestReport } from '@helixcode/protocol/test/test-result';
import { runTask, snapshotOf } from '../../test/support/hand-in.ts';
import { workersAreUp } from '../../test/support/wait-for.ts';
import { mustRun } from '../demo/command.ts';
import { benchServer } from './bench-server.ts';
import { atLeast, atMost, type Measurement } from './measurement.ts';
import { givenUnevenSuite, unevenTimesMs } from './uneven-suite.ts';

const FILES = 60;
const MOST_OVER_IDEAL = 1.15;

/** A suite of uneven files over two workers with a slot per core, once to learn its times and once measured. */
export async function measure(cleanUp: AsyncDisposableStack): Promise<Measurement> {
  const folder = await givenUnevenSuite(unevenTimesMs(FILES));
  cleanUp.defer(() => rmSync(folder, { recursive: true, force: true }));
  const slots = Math.max(2, availableParallelism());
  const server = await benchServer(cleanUp, { HELIX_WORKERS_LOCAL_SLOTS: String(Math.ceil(slots / 2)) });
  const { client } = server;
  await client.call('workers.add', { body: { name: 'second', transport: 'local', slots: Math.floor(slots / 2) } });
  await workersAreUp(client, 2);
  const { project, commit } = await snapshotOf(client, folder);
  const run = async (): Promise<{ report: TestReport; startUpMs: number; wallMs: number }> => {
    const startMs = performance.now();
    const task = await runTask(server, { kind: 'test', spec: { project, commit, retryFailures: false } });
    const wallMs = performance.now() - startMs;
    const starts = task.tree.flatMap((leaf) => (leaf.attempt?.startedAt ? [Date.parse(leaf.attempt.startedAt)] : []));
    return { report: task.result as TestReport, startUpMs: Math.min(...starts) - Date.parse(task.createdAt), wallMs };
  };
  await run();
  const { report, startUpMs, wallMs } = await run();

  const serial = await timeSerial(folder);
  const idealMs = serial.cpuMs / slots;
  const bareMs = await timeBare(folder, slots);
  return {
    metrics: {
      files: FILES,
      tests: report.totals.tests,
      slots,
      wallMs,
      startUpMs,
      utilisation: report.utilisation,
      shards: report.shards,
      serialCpuMs: serial.cpuMs,
      ratioToIdeal: (wallMs - startUpMs) / idealMs,
      ratioToBare: wallMs / bareMs,
    },
    baseline: {
      name: `node --test, serial and ${slots} files at once, in one checkout`,
      metrics: { serialWallMs: serial.wallMs, bareWallMs: bareMs },
    },
    bars: [
      atLeast('tests of the merged result', report.totals.passed, FILES),
      atLeast('utilisation', report.utilisation, 0.95),
      atMost('wall time over (serial processor time ÷ slots), start-up apart,', (wallMs - startUpMs) / idealMs, MOST_OVER_IDEAL),
    ],
  };
}

async function timeSerial(folder: string): Promise<{ wallMs: number; cpuMs: number }> {
  const startMs = performance.now();
  const said = await mustRun('/bin/sh', ['-c', `"${process.execPath}" --test --test-concurrency=1 >/dev/null; times`], { cwd: folder });
  const wallMs = performance.now() - startMs;
  // The second line of `times`: user and system time of the children, as 0m1.23s.
  const cpuMs = (said.trim().split('\n').at(-1) ?? '').split(' ').reduce((sum, part) => {
    const [, minutes = '0', seconds = '0'] = /(\d+)m([\d.]+)s/.exec(part) ?? [];
    return sum + Number(minutes) * 60_000 + Number(seconds) * 1_000;
  }, 0);
  return { wallMs, cpuMs };
}

async function timeBare(folder: string, slots: number): Promise<number> {
  const startMs = performance.now();
  await mustRun(process.execPath, ['--test', `--test-concurrency=${slots}`], { cwd: folder });
  return performance.now() - startMs;
}
