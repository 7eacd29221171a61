/**
 * The main job in one command: `npm run demo`, `npm run demo -- --json`.
 *
 * Starts a server and three workers of its own, runs the suite of examples/sample-repo over them and shows it live. Where
 * sshd is installed, two of the workers are reached by ssh on loopback ports. Ends everything it started; `--keep` leaves
 * it running, to look around.
 */
import { chmodSync, cpSync, mkdtempSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs, styleText } from 'node:util';
import type { TestReport } from '@helixcode/protocol/test/test-result';
import { givenSshd, noSshd, type TestSshd } from '../packages/server/test/support/sshd.ts';
import { mustRun, runCommand } from './demo/command.ts';

const ROOT = path.resolve(import.meta.dirname, '..');
const HELIX = path.join(ROOT, 'packages/cli/bin/helix.js');
/** Exit status of `helix test` when a test failed: here one is meant to. */
const TESTS_FAILED = 5;

const { values: flags } = parseArgs({ options: { json: { type: 'boolean' }, keep: { type: 'boolean' } } });
const folder = mkdtempSync(path.join(tmpdir(), 'helix-demo-'));
const home = path.join(folder, 'home');
const repository = path.join(folder, 'corner-shop');
const env = { ...process.env, HELIX_HOME: home, HELIX_PORT: '0', HELIX_WORKERS_LOCAL_SLOTS: '1' };
const sshds: TestSshd[] = [];
let task: string | undefined;

// As root, the database runs under an account of its own, which must come through.
chmodSync(folder, 0o711);

const startMs = performance.now();
try {
  await makeRepository();
  const url = await startServer();
  const ssh = await addWorkers();
  const report = await runSuite();
  const ok = isAsMeant(report);
  if (flags.json) {
    const { totals } = report;
    const result = {
      ok,
      workers: report.workers.length,
      ssh,
      tests: totals.tests,
      failed: totals.failed,
      flaky: totals.flaky,
      serialMs: Math.round(report.serialMs),
      wallMs: Math.round(report.wallMs),
      utilisation: report.utilisation,
      url: `${url}/api/v1/tasks/${task}`,
    };
    console.log(JSON.stringify(result));
  } else printSummary(report, url, ok);
  if (!ok) process.exitCode = 1;
} finally {
  if (flags.keep)
    say(
      `\nIt goes on running. To look around: HELIX_HOME=${home} npx helix status; to end it: HELIX_HOME=${home} npx helix down --workers`,
    );
  else await cleanUp();
}

/** The sample project, as a repository of its own. */
async function makeRepository(): Promise<void> {
  cpSync(path.join(ROOT, 'examples/sample-repo'), repository, { recursive: true });
  const git = (...args: string[]) =>
    mustRun('git', ['-c', 'user.name=demo', '-c', 'user.email=demo@localhost', ...args], { cwd: repository });
  await git('init', '-q', '-b', 'main');
  await git('add', '-A');
  await git('commit', '-q', '-m', 'Open the shop');
}

async function startServer(): Promise<string> {
  return (await helix('up')).trim();
}

/** Two more workers beside the local one. @returns how many of them are reached by ssh */
async function addWorkers(): Promise<number> {
  const names = ['second', 'third'];
  if (noSshd) {
    say('sshd is not installed here, so all three workers are local ones (apt-get install openssh-server shows real ssh)');
    for (const name of names) await helix('workers', 'add', '--local', name, '--slots', '1');
    return 0;
  }
  say('two workers are reached by ssh, each through an sshd of its own on a loopback port');
  for (const name of names) {
    const sshd = await givenSshd();
    sshds.push(sshd);
    await helix(
      'workers',
      'add',
      `${sshd.user}@${sshd.host}:${sshd.port}`,
      '--name',
      name,
      '--identity',
      sshd.identityFile,
      '--accept-fingerprint',
      sshd.fingerprint,
      '--slots',
      '1',
    );
  }
  return names.length;
}

async function runSuite(): Promise<TestReport> {
  say('');
  tell(['test']);
  const { exitCode, stdout, stderr } = await runCommand(process.execPath, [HELIX, 'test', ...(flags.json ? ['--json'] : [])], {
    cwd: repository,
    env,
    show: flags.json ? 'nothing' : 'all',
  });
  if (exitCode !== 0 && exitCode !== TESTS_FAILED) throw new Error(`helix test ended with ${exitCode}: ${stderr.trim()}`);
  if (flags.json) {
    const said = JSON.parse(stdout) as { task: string; report: TestReport };
    task = said.task;
    return said.report;
  }
  const list = JSON.parse(await mustRun(process.execPath, [HELIX, 'tasks', 'list', '--limit', '1', '--json'], { env })) as {
    items: { id: string; result: TestReport }[];
  };
  const [newest] = list.items;
  if (!newest) throw new Error('the server knows of no task');
  task = newest.id;
  return newest.result;
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

function printSummary(report: TestReport, url: string, ok: boolean): void {
  const { totals } = report;
  const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;
  const rows = [
    ['workers', `${report.workers.join(', ')} (${report.slots} slots${sshds.length > 0 ? `, ${sshds.length} of them by ssh` : ''})`],
    [
      'tests',
      `${totals.tests} in ${totals.units} files: ${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped, ${totals.flaky} flaky`,
    ],
    ['one after the other', seconds(report.serialMs)],
    [
      'here',
      `${seconds(report.wallMs)}, ${(report.serialMs / report.wallMs).toFixed(1)} times as fast; slots ${Math.round(report.utilisation * 100)} % busy`,
    ],
    ['looked at through', `${url}/api/v1/tasks/${task}`],
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

async function cleanUp(): Promise<void> {
  await runCommand(process.execPath, [HELIX, 'workers', 'remove', 'second', '--force', '--yes'], { env });
  await runCommand(process.execPath, [HELIX, 'workers', 'remove', 'third', '--force', '--yes'], { env });
  await runCommand(process.execPath, [HELIX, 'down', '--workers'], { env });
  for (const sshd of sshds) await sshd.remove();
  rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  // The sample keeps its exchange rates per run.
  if (task !== undefined) rmSync(path.join(homedir(), '.cache', `corner-shop-rates-${task}`), { recursive: true, force: true });
}

/** Runs a command of ours as a person would type it. @returns its stdout */
async function helix(...args: string[]): Promise<string> {
  tell(args);
  return mustRun(process.execPath, [HELIX, ...args], { env, show: flags.json ? 'nothing' : 'progress' });
}

function tell(args: string[]): void {
  say(styleText('dim', `$ helix ${args.map((arg) => (arg.includes(' ') ? JSON.stringify(arg) : arg)).join(' ')}`));
}

/** To people: with `--json`, stdout belongs to the one document. */
function say(sentence: string): void {
  if (flags.json) console.error(sentence);
  else console.log(sentence);
}
