import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { mustRun } from '../demo/command.ts';

/** Processor time of each file in milliseconds: many short, few long, as suites are. */
export function unevenTimesMs(files: number): number[] {
  return Array.from({ length: files }, (_, n) => Math.round(60 + 1_700 * ((n * 0.618_034) % 1) ** 4));
}

/** A git repository whose suite (node:test) burns the given processor time, a file each. */
export async function givenUnevenSuite(timesMs: readonly number[]): Promise<string> {
  const folder = mkdtempSync(path.join(tmpdir(), 'helix-suite-'));
  mkdirSync(path.join(folder, 'test'));
  writeFileSync(path.join(folder, 'package.json'), JSON.stringify({ name: 'uneven', type: 'module', scripts: { test: 'node --test' } }));
  for (const [index, ms] of timesMs.entries()) writeFileSync(path.join(folder, 'test', `part-${index}.test.js`), burningTest(ms));
  const git = (...args: string[]) =>
    mustRun('git', ['-c', 'user.name=bench', '-c', 'user.email=bench@localhost', ...args], { cwd: folder });
  await git('init', '-q', '-b', 'main');
  await git('add', '-A');
  await git('commit', '-q', '-m', 'A suite of uneven files');
  return folder;
}

/** Burns processor time, not wall time: beside other work it takes longer, but costs the same. */
function burningTest(ms: number): string {
  return [
    `import { test } from 'node:test';`,
    `test('burns ${ms} ms', () => {`,
    `  const start = process.cpuUsage();`,
    `  for (;;) {`,
    `    for (let n = 0, x = 0; n < 20_000; n++) x += Math.sqrt(n);`,
    `    const { user, system } = process.cpuUsage(start);`,
    `    if (user + system >= ${ms} * 1000) return;`,
    `  }`,
    `});`,
    '',
  ].join('\n');
}
