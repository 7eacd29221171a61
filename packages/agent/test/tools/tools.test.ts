import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { JsonObject } from '@helixcode/llm/model-port';
import { CodedError } from '@helixcode/protocol/errors';
import type { TestReport } from '@helixcode/protocol/test/test-result';
import { describe, expect, test } from 'vitest';
import { OUTPUT_BYTES, OUTPUT_LINES } from '../../src/output/bound-output.ts';
import { runCall } from '../../src/tools/run-call.ts';
import type { ToolContext, ToolOutcome } from '../../src/tools/tool.ts';
import { givenWorkspace, type LocalWorkspace } from '../support/local-workspace.ts';
import { quietHost } from '../support/quiet-host.ts';

const use = (workspace: LocalWorkspace, tool: string, input: JsonObject, more: Partial<ToolContext> = {}): Promise<ToolOutcome> =>
  runCall(
    { tool, input },
    {
      workspace,
      host: quietHost(),
      seen: {},
      instructedFolders: ['', 'src', 'sub'],
      isPlanning: false,
      signal: new AbortController().signal,
      ...more,
    },
  );

describe('read', () => {
  test('shows lines from where it is asked to, and how to go on', async () => {
    await using workspace = await givenWorkspace({ a: Array.from({ length: 10 }, (_, index) => `line ${index + 1}\n`).join('') });
    expect((await use(workspace, 'read', { path: 'a', from: 3, lines: 2 })).text).toBe(
      '[a, lines 3-4 of 10]\nline 3\nline 4\n[6 more lines; go on with from=5]',
    );
    expect(await use(workspace, 'read', { path: 'a', from: 11 })).toMatchObject({
      isError: true,
      text: 'a has 10 lines; there is no line 11',
    });
  });

  test('is bounded by lines and by bytes, and cuts huge lines', async () => {
    await using workspace = await givenWorkspace({
      many: 'x\n'.repeat(5_000),
      wide: `${'y'.repeat(1_000)}\n`.repeat(200),
      huge: 'z'.repeat(1_000_000),
    });
    expect((await use(workspace, 'read', { path: 'many' })).text).toContain(
      `[${5_000 - OUTPUT_LINES} more lines; go on with from=${OUTPUT_LINES + 1}]`,
    );
    expect(Buffer.byteLength((await use(workspace, 'read', { path: 'wide' })).text)).toBeLessThan(OUTPUT_BYTES + 200);
    const huge = (await use(workspace, 'read', { path: 'huge' })).text;
    expect(huge).toMatch(/^\[huge, lines 1-1 of 1; the last line does not end; long lines are cut\]/);
    expect(huge.length).toBeLessThan(2_300);
  });

  test('names what cannot be seen: CRLF, a byte order mark, mixed line ends', async () => {
    await using workspace = await givenWorkspace({ crlf: '\uFEFFa\r\nb\r\n', mixed: 'a\r\nb\n', empty: '' });
    expect((await use(workspace, 'read', { path: 'crlf' })).text).toBe(
      '[crlf, lines 1-2 of 2; begins with a byte order mark; line ends are CRLF]\na\nb',
    );
    expect((await use(workspace, 'read', { path: 'mixed' })).text).toContain('line ends are mixed');
    expect((await use(workspace, 'read', { path: 'empty' })).text).toBe('empty is empty');
  });

  test('refuses a binary file, a folder, and a file that is too large', async () => {
    await using workspace = await givenWorkspace({
      'image.png': Buffer.from([0x89, 0x50, 0, 0]),
      'sub/a': '',
      large: Buffer.alloc(11 * 1024 * 1024, 'a'),
    });
    for (const name of ['image.png', 'sub', 'large', 'nothing'])
      expect(await use(workspace, 'read', { path: name })).toMatchObject({ isError: true });
    expect((await use(workspace, 'read', { path: 'image.png' })).text).toBe('image.png is a binary file (4 bytes): it is not shown');
  });
});

describe('write', () => {
  test('makes files with the folders they need', async () => {
    await using workspace = await givenWorkspace();
    expect(await use(workspace, 'write', { path: 'a/b/c.txt', content: 'new\n' })).toMatchObject({
      isError: false,
      text: 'made a/b/c.txt (4 bytes)',
    });
    expect(await readFile(path.join(workspace.root, 'a/b/c.txt'), 'utf8')).toBe('new\n');
  });

  test('replaces only what was read, as it was read', async () => {
    await using workspace = await givenWorkspace({ a: 'theirs' });
    expect(await use(workspace, 'write', { path: 'a', content: 'mine' })).toMatchObject({
      isError: true,
      text: expect.stringContaining('you have not read all of it'),
    });

    const { seen = [] } = await use(workspace, 'read', { path: 'a' });
    const known = { seen: Object.fromEntries(seen.map(({ path: name, hash }) => [name, hash])) };
    await writeFile(path.join(workspace.root, 'a'), 'theirs, later');
    expect(await use(workspace, 'write', { path: 'a', content: 'mine' }, known)).toMatchObject({
      isError: true,
      text: expect.stringContaining('was changed since'),
    });
    await writeFile(path.join(workspace.root, 'a'), 'theirs');
    expect(await use(workspace, 'write', { path: 'a', content: 'mine' }, known)).toMatchObject({ isError: false });
    expect(await readFile(path.join(workspace.root, 'a'), 'utf8')).toBe('mine');
  });
});

test('a file that was read or changed only in part cannot be replaced', async () => {
  await using workspace = await givenWorkspace({ a: 'one\ntwo\nthree\n' });
  const part = await use(workspace, 'read', { path: 'a', lines: 1 });
  const edited = await use(workspace, 'edit', { path: 'a', old: 'one', new: 'two' });
  for (const { seen } of [part, edited]) expect(seen).toBeUndefined();
  const whole = await use(workspace, 'read', { path: 'a' });
  const seen = Object.fromEntries((whole.seen ?? []).map(({ path: name, hash }) => [name, hash]));
  const again = await use(workspace, 'edit', { path: 'a', old: 'three', new: '3' }, { seen });
  expect(await use(workspace, 'write', { path: 'a', content: 'all' }, { seen })).toMatchObject({ isError: true });
  expect(again.seen).toHaveLength(1);
  expect(await use(workspace, 'write', { path: 'a', content: 'all' }, { seen: { a: again.seen?.[0]?.hash ?? '' } })).toMatchObject({
    isError: false,
  });
});

describe('shell', () => {
  test('gives the exit code, and both outputs in their order', async () => {
    await using workspace = await givenWorkspace();
    expect(await use(workspace, 'shell', { command: 'echo out; echo err >&2; exit 3' })).toEqual({
      text: '[exit code 3]\nout\nerr\n',
      isError: true,
    });
  });

  test('a command that never ends is stopped with all it started', async () => {
    await using workspace = await givenWorkspace();
    const outcome = await use(workspace, 'shell', { command: 'echo begun; sleep 1000 & sleep 1000', seconds: 3 });
    expect(outcome).toMatchObject({ isError: true, text: expect.stringMatching(/^\[stopped: not over after 3 seconds[\s\S]*\nbegun\n$/) });
  });

  test('a command that waits for input gets none', async () => {
    await using workspace = await givenWorkspace();
    expect((await use(workspace, 'shell', { command: 'cat; read answer || echo no answer' })).text).toBe('[exit code 0]\nno answer\n');
  });

  test('five megabytes of output come back as 50 KB, and the file with all of it can be looked into', async () => {
    await using workspace = await givenWorkspace();
    const { text } = await use(workspace, 'shell', { command: 'seq 1 800000' });
    expect(Buffer.byteLength(text)).toBeLessThan(OUTPUT_BYTES + 300);
    const file = /all of it is in (\S+) …\]/.exec(text)?.[1];
    expect((await use(workspace, 'shell', { command: `sed -n 400000p ${file}` })).text).toBe('[exit code 0]\n400000\n');
  });

  test('a lost link is no outcome: it rises', async () => {
    await using workspace = await givenWorkspace();
    const lost: LocalWorkspace = { ...workspace, run: () => Promise.reject(new CodedError('worker.link_lost', 'the link is gone')) };
    await expect(use(lost, 'shell', { command: 'make' })).rejects.toMatchObject({ code: 'worker.link_lost' });
    const broken: LocalWorkspace = { ...workspace, run: () => Promise.reject(new CodedError('workspace.failed', 'the disk is gone')) };
    await expect(use(broken, 'shell', { command: 'make' })).rejects.toMatchObject({ code: 'workspace.failed' });
  });
});

describe('search and list', () => {
  const files = {
    'src/a.ts': 'const one = 1;\nconst two = 2;\n',
    'src/b.js': 'const one = 1;\n',
    'dist/c.ts': 'const one = 1;\n',
    '.gitignore': 'dist/\n',
    'image.png': Buffer.from([0x63, 0, 1]),
  };

  test('search gives path, line and text, without what git ignores', async () => {
    await using workspace = await givenWorkspace(files);
    expect((await use(workspace, 'search', { pattern: 'const \\w+ = 1' })).text).toBe(
      'src/a.ts:1: const one = 1;\nsrc/b.js:1: const one = 1;',
    );
    expect((await use(workspace, 'search', { pattern: 'ONE', ignoreCase: true, glob: '*.ts' })).text).toBe('src/a.ts:1: const one = 1;');
    expect(await use(workspace, 'search', { pattern: 'nowhere' })).toEqual({ text: 'no line matches', isError: false });
    expect(await use(workspace, 'search', { pattern: '(' })).toMatchObject({ isError: true });
    expect(await use(workspace, 'search', { pattern: 'x', path: '..' })).toMatchObject({ isError: true });
  });

  test('list gives names and sizes, without what git ignores', async () => {
    await using workspace = await givenWorkspace(files);
    expect((await use(workspace, 'list', {})).text).toBe('.gitignore (6 bytes)\nimage.png (3 bytes)\nsrc/');
    expect((await use(workspace, 'list', { depth: 2 })).text).toContain('src/a.ts (30 bytes)');
    expect((await use(workspace, 'list', { path: 'src' })).text).toBe('src/a.ts (30 bytes)\nsrc/b.js (15 bytes)');
  });

  test('a folder of thousands of files is bounded, and counted', async () => {
    await using workspace = await givenWorkspace();
    await use(workspace, 'shell', { command: 'seq -f f%.0f 1 3000 | xargs touch' });
    const { text } = await use(workspace, 'list', {});
    expect(text.split('\n')).toHaveLength(501);
    expect(text).toContain('[2500 more; list a folder below, or search]');
  });
});

describe('what the host does', () => {
  const report: TestReport = {
    runner: 'vitest',
    totals: { units: 2, tests: 3, passed: 1, failed: 1, skipped: 1, errors: 0, flaky: 1 },
    failures: [{ unit: 'a.test.ts', name: 'adds', message: '\u001b[31mexpected 3\u001b[0m', file: 'a.test.ts', line: 7 }],
    flaky: [{ unit: 'b.test.ts', name: 'waits', message: '' }],
    shards: 1,
    serialMs: 1,
    wallMs: 1,
    utilisation: 1,
    slots: 1,
    workers: [],
  };

  test('run_tests names counts, failures with their place, and flaky tests', async () => {
    await using workspace = await givenWorkspace();
    const asked: unknown[] = [];
    const host = quietHost({
      runTests: (request) => {
        asked.push(request);
        return Promise.resolve(report);
      },
    });
    expect(await use(workspace, 'run_tests', { patterns: ['a'] }, { host })).toEqual({
      text: '[vitest: 1 passed, 1 failed, 1 skipped]\nFAILED a.test.ts > adds (a.test.ts:7)\nexpected 3\nflaky: b.test.ts > waits failed once and passed when run again',
      isError: true,
    });
    expect(asked).toEqual([{ patterns: ['a'] }]);
  });

  test('no test at all is told as such', async () => {
    await using workspace = await givenWorkspace();
    const none = { ...report, totals: { ...report.totals, tests: 0, passed: 0, failed: 0, skipped: 0 }, failures: [], flaky: [] };
    expect((await use(workspace, 'run_tests', {}, { host: quietHost({ runTests: () => Promise.resolve(none) }) })).text).toContain(
      'No test ran.',
    );
  });

  test('ask gives the answer of a person', async () => {
    await using workspace = await givenWorkspace();
    const host = quietHost({ ask: ({ question, options }) => Promise.resolve({ answer: `${question} ${options.join('/')}` }) });
    expect((await use(workspace, 'ask', { question: 'Which?', options: ['a', 'b'] }, { host })).text).toBe('A person answers: Which? a/b');
  });

  test('what a sub-agent had when it was stopped is kept, and called unfinished', async () => {
    await using workspace = await givenWorkspace();
    const host = quietHost({
      spawn: () =>
        Promise.resolve({ id: 'agt_1', ending: 'deadline', text: 'Half of it', changedFiles: ['a.ts'], reason: '10 minutes are over' }),
    });
    expect(await use(workspace, 'spawn', { goal: 'x', minutes: 10 }, { host })).toEqual({
      text: '[agent agt_1 was stopped at its deadline; this is what it had]\nreason: 10 minutes are over\nIt changed: a.ts\nHalf of it',
      isError: true,
    });
  });

  test('in work a plan is only shown: nobody has to agree', async () => {
    await using workspace = await givenWorkspace();
    const plan = {
      summary: 's',
      risks: [],
      subtasks: [{ id: 'a', title: 'A', kind: 'agent', detail: '', needs: [], files: [], minutes: 1, costUsd: 0 }],
    };
    const host = quietHost({ showPlan: () => Promise.resolve({ isAccepted: true }) });
    expect(await use(workspace, 'plan', plan, { host })).toEqual({ text: 'The plan is shown.', isError: false });
    expect(await use(workspace, 'plan', plan, { host, isPlanning: true })).toMatchObject({ isPlanAccepted: true });
  });
});
