import { rmSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { styleText } from 'node:util';
import type { TestReport } from '@helixcode/protocol/test/test-result';
import { mustRun, runCommand } from './command.ts';
import { type DemoFleet, givenDemoFleet, HELIX } from './demo-fleet.ts';

/** Exit status of `helix test` when a test failed: here one is meant to. */
const TESTS_FAILED = 5;

/** Runs the suite of the sample project over three workers, and shows it. @returns whether it found what there is to find */
export async function showSuite({ isJson, isKept }: { isJson: boolean; isKept: boolean }): Promise<boolean> {
  const startMs = performance.now();
  const fleet = await givenDemoFleet({ isJson });
  let task: string | undefined;
  try {
    const url = await fleet.startServer();
    const ssh = await fleet.addWorkers();
    const run = await runSuite(fleet);
    const { report } = run;
    task = run.task;
    const ok = isAsMeant(report);
    const at = `${url}/api/v1/tasks/${task}`;
    if (!isJson) printSummary(fleet, report, at, startMs, ok);
    else {
      const { totals } = report;
      console.log(
        JSON.stringify({
          ok,
          workers: report.workers.length,
          ssh,
          tests: totals.tests,
          failed: totals.failed,
          flaky: totals.flaky,
          serialMs: Math.round(report.serialMs),
          wallMs: Math.round(report.wallMs),
          utilisation: report.utilisation,
          url: at,
        }),
      );
    }
    return ok;
  } finally {
    await fleet.end(isKept);
    if (task !== undefined && !isKept) removeRates(task);
  }
}

/** The sample keeps its exchange rates per run. */
export function removeRates(task: string): void {
  rmSync(path.join(homedir(), '.cache', `corner-shop-rates-${task}`), { recursive: true, force: true });
}

async function runSuite(fleet: DemoFleet): Promise<{ report: TestReport; task: string }> {
  fleet.say('');
  fleet.say(styleText('dim', '$ helix test'));
  const { exitCode, stdout, stderr } = await runCommand(process.execPath, [HELIX, 'test', ...(fleet.isJson ? ['--json'] : [])], {
    cwd: fleet.repository,
    env: fleet.env,
    show: fleet.isJson ? 'nothing' : 'all',
  });
  if (exitCode !== 0 && exitCode !== TESTS_FAILED) throw new Error(`helix test ended with ${exitCode}: ${stderr.trim()}`);
  if (fleet.isJson) {
    const said = JSON.parse(stdout) as { task: string; report: TestReport };
    return said;
  }
  const list = JSON.parse(await mustRun(process.execPath, [HELIX, 'tasks', 'list', '--limit', '1', '--json'], { env: fleet.env })) as {
    items: { id: string; result: TestReport }[];
  };
  const [newest] = list.items;
  if (!newest) throw new Error('the server knows of no task');
  return { report: newest.result, task: newest.id };
}

/** The sample has one bug and one test that depends on luck, and both must be found and nothing else. */
function isAsMeant({ totals, failures, flaky }: TestReport): boolean {
  return (
    totals.units >= 60 &&
    totals.failed === 1 &&
    totals.errors === 0 &&
    totals.flaky === 1 &&
    failures[0]?.unit === 'test/discount/tier-boundaries.test.js' &&
    flaky[0]?.unit === 'test/exchange/quick-quote.test.js'
  );
}

function printSummary(fleet: DemoFleet, report: TestReport, url: string, startMs: number, ok: boolean): void {
  const { totals } = report;
  const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;
  const rows = [
    [
      'workers',
      `${report.workers.join(', ')} (${report.slots} slots${fleet.sshds.length > 0 ? `, ${fleet.sshds.length} of them by ssh` : ''})`,
    ],
    [
      'tests',
      `${totals.tests} in ${totals.units} files: ${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped, ${totals.flaky} flaky`,
    ],
    ['one after the other', seconds(report.serialMs)],
    [
      'here',
      `${seconds(report.wallMs)}, ${(report.serialMs / report.wallMs).toFixed(1)} times as fast; slots ${Math.round(report.utilisation * 100)} % busy`,
    ],
    ['looked at through', url],
    ['in all', seconds(performance.now() - startMs)],
  ];
  console.log('');
  for (const [name = '', value = ''] of rows) console.log(`  ${name.padEnd(20)} ${value}`);
  console.log(
    ok
      ? `\n${styleText('green', 'The sample suite has one bug and one flaky test; both were found, and named.')}`
      : `\n${styleText('red', 'The sample suite has one bug and one flaky test; this is not what was found.')}`,
  );
}
