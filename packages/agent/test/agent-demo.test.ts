import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { openProvider } from '@helixcode/llm/providers/open-provider';
import { parseTranscript } from '@helixcode/llm/replay/transcript';
import type { TestReport } from '@helixcode/protocol/test/test-result';
import { expect, onTestFinished, test } from 'vitest';
import { beginConversation } from '../src/conversation.ts';
import { systemPrompt } from '../src/system-prompt.ts';
import { givenWorkspace } from './support/local-workspace.ts';
import { quietHost } from './support/quiet-host.ts';
import { runAgent } from './support/run-agent.ts';

const EXAMPLES = path.resolve(import.meta.dirname, '../../../examples');
const TRANSCRIPT = path.join(EXAMPLES, 'agent-demo/written-transcript.jsonl');
const GOAL = 'The test suite of this project fails. Find the bug behind it and mend it.';
const FLAKY = 'a tourist at the till gets a price in francs within 450 ms';
const BROKEN = 'a dozen jars of jam are already reduced as a dozen';

async function filesOf(folder: string): Promise<Record<string, Uint8Array>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => path.join(parentPath, name));
  return Object.fromEntries(await Promise.all(files.map(async (file) => [path.relative(folder, file), await readFile(file)])));
}

/** A run of test files as `helix test` judges it: what failed runs once more, and is flaky if it passes then. */
async function runSuite(root: string, patterns: string[]): Promise<TestReport> {
  const home = await mkdtemp(path.join(tmpdir(), 'helixcode-suite-'));
  onTestFinished(() => rm(home, { recursive: true, force: true }));
  const env = { PATH: process.env.PATH, HOME: home, HELIX_RUN_ID: randomUUID() };
  const isWanted = (file: string): boolean => patterns.length === 0 || patterns.some((pattern) => file.includes(pattern));
  const units = (await readdir(path.join(root, 'test'), { recursive: true }))
    .map((file) => path.join('test', file))
    .filter((file) => file.endsWith('.test.js') && isWanted(file));
  const namesIn = (tap: string, word: 'ok' | 'not ok'): string[] =>
    [...tap.matchAll(/^(\s*)(ok|not ok) \d+ - (.*?)(?: # .*)?$/gm)].filter(([, , is]) => is === word).map(([, , , name = '']) => name);
  const runUnit = (unit: string): Promise<{ passed: string[]; failed: string[] }> =>
    new Promise((resolve) => {
      execFile(process.execPath, ['--test-reporter=tap', unit], { cwd: root, env }, (_error, tap) =>
        resolve({ passed: namesIn(tap, 'ok'), failed: namesIn(tap, 'not ok') }),
      );
    });

  let passed = 0;
  const failures: TestReport['failures'] = [];
  const flaky: TestReport['flaky'] = [];
  const waiting = [...units];
  const runWaiting = async (): Promise<void> => {
    for (let unit = waiting.shift(); unit !== undefined; unit = waiting.shift()) {
      const first = await runUnit(unit);
      const again = first.failed.length > 0 ? await runUnit(unit) : first;
      passed += again.passed.length;
      for (const name of first.failed) {
        if (again.failed.includes(name)) failures.push({ unit, name, message: 'failed' });
        else flaky.push({ unit, name, message: 'failed once' });
      }
    }
  };
  await Promise.all(Array.from({ length: 3 }, runWaiting));
  const failed = failures.length;
  return {
    runner: 'node-test',
    totals: { units: units.length, tests: passed + failed, passed, failed, skipped: 0, errors: 0, flaky: flaky.length },
    failures,
    flaky,
    shards: units.length,
    serialMs: 0,
    wallMs: 0,
    utilisation: 1,
    slots: 3,
    workers: [],
  };
}

test('the written transcript of the demo says that no model spoke it, and mends the bug of the sample project: its suite passes then, but for the flaky test', async () => {
  const { header } = parseTranscript(await readFile(TRANSCRIPT, 'utf8'));
  expect(header).toMatchObject({ written: expect.stringContaining('no model said any of this') });
  expect(header.recordedAt).toBeUndefined();

  await using workspace = await givenWorkspace(await filesOf(path.join(EXAMPLES, 'sample-repo')));
  const before = await workspace.treeHash();
  const port = await openProvider('replay', { transcripts: { 'agent-demo': TRANSCRIPT } });
  const reports: TestReport[] = [];
  const host = quietHost({
    runTests: async ({ patterns }) => {
      // Of the whole suite the parts that are not what they should be, and their neighbours, are enough to begin with.
      const report = await runSuite(workspace.root, patterns.length > 0 ? patterns : ['test/discount/', 'test/exchange/']);
      reports.push(report);
      return report;
    },
  });
  const begun = beginConversation({
    goal: GOAL,
    mode: 'work',
    model: 'agent-demo',
    system: systemPrompt('work'),
    contextTokens: port.capabilities('agent-demo').contextTokens ?? 0,
    demand: { commands: ['node --test test/discount/tier-boundaries.test.js'] },
    instructedFolders: [''],
    atMs: Date.now(),
  });

  const { ending, parked, conversation } = await runAgent(begun, { port, workspace, host });

  expect(parked).toBeUndefined();
  expect(ending).toMatchObject({ proof: 'verified', text: expect.stringContaining('`quantity > tier.from`') });
  expect(conversation).toMatchObject({ turns: 8, costUsd: 0, refusedEnds: 0 });
  expect(reports[0]).toMatchObject({ failures: [{ name: BROKEN }], flaky: [{ name: FLAKY }] });
  expect(reports[1]).toMatchObject({ failures: [], totals: { failed: 0 } });
  const results = conversation.entries.flatMap((entry) => (entry.from === 'tools' ? entry.message.results : []));
  // Only the first run of the suite fails: everything the written model does works at the first try.
  expect(results.filter(({ isError }) => isError).map(({ tool }) => tool)).toEqual(['run_tests']);

  const changed = await filesOf(workspace.root);
  const original = await filesOf(path.join(EXAMPLES, 'sample-repo'));
  const differing = Object.entries(changed).filter(([file, bytes]) => !original[file] || Buffer.compare(bytes, original[file]) !== 0);
  expect(await workspace.treeHash()).not.toBe(before);
  expect(differing.map(([file]) => file)).toEqual(['src/discount.js']);
  expect(await runSuite(workspace.root, [])).toMatchObject({
    failures: [],
    flaky: expect.arrayContaining([expect.objectContaining({ name: FLAKY })]),
    totals: { units: 78 },
  });
}, 240_000);
