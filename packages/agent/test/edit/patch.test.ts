import { readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { runCall } from '../../src/tools/run-call.ts';
import type { ToolOutcome } from '../../src/tools/tool.ts';
import { givenWorkspace, type LocalWorkspace } from '../support/local-workspace.ts';
import { quietHost } from '../support/quiet-host.ts';

const apply = (workspace: LocalWorkspace, ...lines: string[]): Promise<ToolOutcome> =>
  runCall(
    { tool: 'apply_patch', input: { patch: ['*** Begin Patch', ...lines, '*** End Patch', ''].join('\n') } },
    { workspace, host: quietHost(), seen: {}, instructedFolders: [''], isPlanning: false, signal: new AbortController().signal },
  );
const contentOf = (workspace: LocalWorkspace, name: string): Promise<string> => readFile(path.join(workspace.root, name), 'utf8');
const isThere = (workspace: LocalWorkspace, name: string): Promise<boolean> =>
  stat(path.join(workspace.root, name)).then(
    () => true,
    () => false,
  );

const PROGRAM = 'function a() {\n  run();\n}\nfunction b() {\n  run();\n}\n';

describe('one file', () => {
  test.each<[string, string, string[], string]>([
    [
      'a line in its context',
      PROGRAM,
      [' function b() {', '-  run();', '+  stop();', ' }'],
      'function a() {\n  run();\n}\nfunction b() {\n  stop();\n}\n',
    ],
    [
      'a line behind an anchor',
      PROGRAM,
      ['@@ function b() {', '-  run();', '+  stop();'],
      'function a() {\n  run();\n}\nfunction b() {\n  stop();\n}\n',
    ],
    [
      'two hunks, in order',
      PROGRAM,
      ['@@', ' function a() {', '-  run();', '+  one();', '@@', '-  run();', '+  two();'],
      'function a() {\n  one();\n}\nfunction b() {\n  two();\n}\n',
    ],
    ['lines behind an anchor', 'a\nb\n', ['@@ a', '+new'], 'a\nnew\nb\n'],
    ['lines at the end', 'a\nb\n', ['@@', '+new', '*** End of File'], 'a\nb\nnew\n'],
    ['the last of equal lines, at the end', 'x\ny\nx\n', ['@@', '-x', '+z', '*** End of File'], 'x\ny\nz\n'],
    ['a file of CRLF', 'a\r\nb\r\n', [' a', '-b', '+c', '+d'], 'a\r\nc\r\nd\r\n'],
    ['a missing last line end', 'a\nb', [' a', '-b', '+c'], 'a\nc'],
    [
      'another indentation',
      '\tif (x) {\n\t\tgo();\n\t}\n',
      [' if (x) {', '-\tgo();', '+\tstop();', ' }'],
      '\tif (x) {\n\t\tstop();\n\t}\n',
    ],
    ['an empty line of context', 'a\n\nb\n', [' a', '', '-b', '+c'], 'a\n\nc\n'],
    ['a line that is the end of another one', 'xfoo\nfoo\n', ['-foo', '+bar'], 'xfoo\nbar\n'],
  ])('%s', async (_, file, hunk, becomes) => {
    await using workspace = await givenWorkspace({ 'f.js': file });
    const outcome = await apply(workspace, '*** Update File: f.js', ...hunk);
    expect(outcome).toMatchObject({ isError: false, text: expect.stringMatching(/^patched f\.js \(/) });
    expect(await contentOf(workspace, 'f.js')).toBe(becomes);
  });

  test.each<[string, string, string[], RegExp]>([
    ['lines that are there twice', PROGRAM, ['-  run();', '+  stop();'], /hunk 1: its lines are there 2 times, at lines 2, 5; add context/],
    ['lines that are not there', PROGRAM, ['-  runs();', '+  stop();'], /its lines are not in the file\. The nearest/],
    [
      'lines that are before the hunk before',
      PROGRAM,
      ['@@ function b() {', '-  run();', '+  x();', '@@ ', '-function a() {', '+function c() {'],
      /hunk 2: its lines are not behind that place/,
    ],
    ['an anchor that is not there', PROGRAM, ['@@ function c() {', '-  run();', '+  x();'], /is not in the file as a whole line/],
    ['an anchor that is there twice', PROGRAM, ['@@ }', '+x'], /is there 2 times/],
    ['lines to add, without a place', PROGRAM, ['@@', '+x'], /does not say where/],
    ['lines that are not at the end', 'a\nb\n', ['-a', '+c', '*** End of File'], /not at its end/],
    ['a hunk that changes nothing', PROGRAM, [' function a() {'], /changes nothing/],
    ['a line without a sign', PROGRAM, ['-  run();', 'stop();'], /must begin with a space, "-" or "\+"/],
    ['no hunk', PROGRAM, [], /changes nothing in f\.js/],
    ['a binary file', 'a\0b\n', ['-a', '+b'], /binary file/],
  ])('%s: nothing is changed', async (_, file, hunk, says) => {
    await using workspace = await givenWorkspace({ 'f.js': file });
    expect(await apply(workspace, '*** Update File: f.js', ...hunk)).toMatchObject({ isError: true, text: expect.stringMatching(says) });
    expect(await contentOf(workspace, 'f.js')).toBe(file);
  });
});

describe('several files', () => {
  test('are made, deleted, changed and moved together', async () => {
    await using workspace = await givenWorkspace({ 'old.txt': 'old\n', 'gone.txt': 'x', 'kept.txt': 'a\n' });

    const outcome = await apply(
      workspace,
      '*** Add File: sub/new.txt',
      '+one',
      '+',
      '+two',
      '*** Delete File: gone.txt',
      '*** Update File: old.txt',
      '*** Move to: moved.txt',
      '-old',
      '+moved',
      '*** Update File: kept.txt',
      '-a',
      '+b',
    );

    expect(outcome).toMatchObject({ isError: false });
    expect(await contentOf(workspace, 'sub/new.txt')).toBe('one\n\ntwo\n');
    expect(await contentOf(workspace, 'moved.txt')).toBe('moved\n');
    expect(await contentOf(workspace, 'kept.txt')).toBe('b\n');
    expect(await isThere(workspace, 'gone.txt')).toBe(false);
    expect(await isThere(workspace, 'old.txt')).toBe(false);
    expect(outcome.seen?.find(({ path: name }) => name === 'gone.txt')?.hash).toBe('absent');
  });

  test.each<[string, string[], RegExp]>([
    ['a hunk that does not fit', ['*** Update File: b.txt', '-zzz', '+y'], /^nothing was changed: b\.txt: hunk 1/],
    ['a new file that is there', ['*** Add File: b.txt', '+x'], /b\.txt exists/],
    ['a move onto a file', ['*** Update File: b.txt', '*** Move to: c.txt', '-b', '+y'], /c\.txt exists/],
    ['a file that is in it twice', ['*** Update File: a.txt', '-b', '+y'], /a\.txt is in the patch twice/],
    ['a file that is in it twice, by another path', ['*** Update File: ./a.txt', '-a', '+y'], /a\.txt is in the patch twice/],
    ['a file outside', ['*** Add File: ../x.txt', '+x'], /outside of the workspace/],
  ])('%s: none is changed', async (_, lines, says) => {
    await using workspace = await givenWorkspace({ 'a.txt': 'a\n', 'b.txt': 'b\n', 'c.txt': 'c\n' });

    expect(await apply(workspace, '*** Update File: a.txt', '-a', '+x', ...lines)).toMatchObject({
      isError: true,
      text: expect.stringMatching(says),
    });

    expect(await contentOf(workspace, 'a.txt')).toBe('a\n');
    expect(await contentOf(workspace, 'b.txt')).toBe('b\n');
  });

  test('where somebody changes a file in the middle of it, what was done is told', async () => {
    await using workspace = await givenWorkspace({ 'a.txt': 'a\n', 'b.txt': 'b\n' });
    const racing: LocalWorkspace = {
      ...workspace,
      writeFile: async (name, bytes, expected) => {
        if (name === 'b.txt') await writeFile(path.join(workspace.root, name), 'theirs\n');
        return workspace.writeFile(name, bytes, expected);
      },
    };

    const outcome = await apply(racing, '*** Update File: a.txt', '-a', '+x', '*** Update File: b.txt', '-b', '+y');

    expect(outcome).toMatchObject({
      isError: true,
      text: expect.stringMatching(/^only this was done: patched a\.txt .*; then b\.txt failed: b\.txt was changed/),
    });
    expect(await contentOf(workspace, 'b.txt')).toBe('theirs\n');
  });
});

test.each([
  ['', /first line must be/],
  ['*** Begin Patch\n*** Add File: a\n+x', /last line must be/],
  ['*** Begin Patch\n*** End Patch', /changes no file/],
  ['*** Begin Patch\n+x\n*** End Patch', /names no file/],
  ['*** Begin Patch\n*** Add File: a\nx\n*** End Patch', /must begin with "\+"/],
])('a patch that cannot be read says where: %j', async (patch, says) => {
  await using workspace = await givenWorkspace();
  const outcome = await runCall(
    { tool: 'apply_patch', input: { patch } },
    { workspace, host: quietHost(), seen: {}, instructedFolders: [''], isPlanning: false, signal: new AbortController().signal },
  );
  expect(outcome).toMatchObject({ isError: true, text: expect.stringMatching(says) });
});
