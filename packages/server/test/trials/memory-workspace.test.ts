import { ABSENT, type RunRequest } from '@helixcode/agent/workspace';
import { createMemoryWorkspace, type MemoryWorkspace } from '@helixcode/server/trials/memory-workspace';
import { expect, test } from 'vitest';

const signal = new AbortController().signal;

function given(
  files: Record<string, string>,
  result: { exitCode?: number; output?: string; files?: Record<string, string> } = {},
): MemoryWorkspace {
  const tree = (named: Record<string, string>) => new Map(Object.entries(named).map(([name, text]) => [name, Buffer.from(text)]));
  return createMemoryWorkspace(tree(files), async (order) => ({
    exitCode: result.exitCode,
    output: Buffer.from(result.output ?? ''),
    files: result.files ? tree(result.files) : order.files,
  }));
}

const hashOf = async (workspace: MemoryWorkspace, name: string): Promise<string> => (await workspace.readFile(name, 100)).hash;
const order = (more: Partial<RunRequest> = {}): RunRequest => ({
  command: 'true',
  folder: '',
  timeoutMs: 1_000,
  headBytes: 4,
  tailBytes: 3,
  maxOutputBytes: 100,
  ...more,
});

test('a file is replaced and removed only as it was last seen, and nothing is read that is no file', async () => {
  const workspace = given({ 'src/a.js': 'one' });
  const first = await hashOf(workspace, 'src/a.js');
  await expect(workspace.writeFile('src/a.js', Buffer.from('two'), ABSENT)).rejects.toMatchObject({ code: 'workspace.file_changed' });
  expect(await workspace.writeFile('src/a.js', Buffer.from('two'), first)).toBe(await hashOf(workspace, 'src/a.js'));
  await expect(workspace.removeFile('src/a.js', first)).rejects.toMatchObject({ code: 'workspace.file_changed' });
  await expect(workspace.writeFile('src', Buffer.from(''), ABSENT)).rejects.toMatchObject({ code: 'workspace.not_a_file' });
  await expect(workspace.writeFile('src/a.js/b', Buffer.from(''), ABSENT)).rejects.toMatchObject({ code: 'workspace.not_a_file' });
  await expect(workspace.readFile('src', 100)).rejects.toMatchObject({ code: 'workspace.not_a_file' });
  await expect(workspace.readFile('b.js', 100)).rejects.toMatchObject({ code: 'workspace.file_missing' });
  await expect(workspace.readFile('src/a.js', 2)).rejects.toMatchObject({ code: 'workspace.file_too_large' });
  await workspace.removeFile('src/a.js', await hashOf(workspace, 'src/a.js'));
  expect([...workspace.files().keys()]).toEqual([]);
});

test('folders are listed to a depth, lines are found by pattern and glob', async () => {
  const workspace = given({ 'a.js': 'one\n', 'src/b.js': 'one\ntwo', 'src/deep/c.md': 'One' });
  const list = async (folder: string, depth: number, maxEntries = 10) => {
    const { entries, leftOut } = await workspace.list({ folder, depth, maxEntries });
    return { entries: entries.map(({ path, kind }) => `${path} ${kind}`), leftOut };
  };
  expect(await list('', 1)).toEqual({ entries: ['a.js file', 'src folder'], leftOut: 0 });
  expect(await list('src', 2)).toEqual({ entries: ['src/b.js file', 'src/deep folder', 'src/deep/c.md file'], leftOut: 0 });
  expect(await list('', 3, 2)).toEqual({ entries: ['a.js file', 'src folder'], leftOut: 3 });
  await expect(list('nowhere', 1)).rejects.toMatchObject({ code: 'workspace.file_missing' });

  const find = { pattern: '^one$', path: '', ignoreCase: true, maxMatches: 10 };
  expect((await workspace.search(find)).matches.map(({ path, line }) => `${path}:${line}`)).toEqual([
    'a.js:1',
    'src/b.js:1',
    'src/deep/c.md:1',
  ]);
  expect((await workspace.search({ ...find, path: 'src', glob: '*.js' })).matches).toEqual([{ path: 'src/b.js', line: 1, text: 'one' }]);
  expect(await workspace.search({ ...find, maxMatches: 1 })).toMatchObject({ matches: { length: 1 }, isCut: true });
  await expect(workspace.search({ ...find, pattern: '(' })).rejects.toMatchObject({ code: 'workspace.pattern_refused' });
});

test('a command leaves the files as it left them where it ran, and its output by both ends', async () => {
  const workspace = given({ 'a.js': 'one' }, { exitCode: 3, output: 'abcdefghij', files: { 'b.js': 'two' } });
  const before = await workspace.treeHash();
  const { ending, exitCode, output } = await workspace.run(order(), signal);
  expect({ ending, exitCode, totalBytes: output.totalBytes }).toEqual({ ending: 'exited', exitCode: 3, totalBytes: 10 });
  expect([output.head, output.tail].map(String)).toEqual(['abcd', 'hij']);
  expect([...workspace.files().keys()]).toEqual(['b.js']);
  expect(await workspace.treeHash()).not.toBe(before);

  const short = await given({}, { exitCode: 0, output: 'abcde' }).run(order(), signal);
  expect([short.output.head, short.output.tail].map(String)).toEqual(['abcd', 'e']);
  const slow = given({ 'a.js': 'one' });
  expect(await slow.run(order(), signal)).toMatchObject({ ending: 'timed_out' });
  expect([...slow.files().keys()]).toEqual(['a.js']);
  await expect(slow.run(order({ folder: 'nowhere' }), signal)).rejects.toMatchObject({ code: 'workspace.file_missing' });
});
