import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { ABSENT, type RunRequest, type Workspace } from '../../src/workspace.ts';

/** A workspace with files, and a way to put things there that the port itself cannot make. */
export interface GivenWorkspace extends AsyncDisposable {
  workspace: Workspace;
  /** A symbolic link; `target` as it is written in it. */
  link(path: string, target: string): Promise<void>;
}

const never = new AbortController().signal;
const bytes = (text: string): Uint8Array => Buffer.from(text);
const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex');
const order = (command: string, more: Partial<RunRequest> = {}): RunRequest => ({
  command,
  folder: '',
  timeoutMs: 20_000,
  headBytes: 1_000,
  tailBytes: 1_000,
  maxOutputBytes: 1_000_000,
  ...more,
});
const textOf = (part: Uint8Array): string => Buffer.from(part).toString();

/** What every implementation of the port must do. */
export function workspaceSuite(name: string, given: (files: Record<string, string | Uint8Array>) => Promise<GivenWorkspace>): void {
  const read = async (workspace: Workspace, path: string): Promise<string> => textOf((await workspace.readFile(path, 1_000)).bytes);

  describe(`${name} as a workspace`, () => {
    test('gives a file with the hash of its bytes', async () => {
      await using it = await given({ 'a.txt': 'a\r\n' });
      expect(await it.workspace.readFile('a.txt', 100)).toMatchObject({ hash: hashOf('a\r\n') });
      expect(await read(it.workspace, 'a.txt')).toBe('a\r\n');
    });

    test.each([
      ['nothing.txt', 'workspace.file_missing'],
      ['folder', 'workspace.not_a_file'],
      ['large.txt', 'workspace.file_too_large'],
    ])('does not give %s', async (path, code) => {
      await using it = await given({ 'folder/a': '', 'large.txt': 'x'.repeat(101) });
      await expect(it.workspace.readFile(path, 100)).rejects.toMatchObject({ code });
    });

    test('writes only over the content that was expected', async () => {
      await using it = await given({ 'a.txt': 'one' });
      const { workspace } = it;
      expect(await workspace.writeFile('a.txt', bytes('two'), hashOf('one'))).toBe(hashOf('two'));
      await expect(workspace.writeFile('a.txt', bytes('three'), hashOf('one'))).rejects.toMatchObject({ code: 'workspace.file_changed' });
      await expect(workspace.writeFile('a.txt', bytes('three'), ABSENT)).rejects.toMatchObject({ code: 'workspace.file_changed' });
      await expect(workspace.writeFile('b.txt', bytes('three'), hashOf('one'))).rejects.toMatchObject({ code: 'workspace.file_changed' });
      expect(await read(workspace, 'a.txt')).toBe('two');
    });

    test('of several that replace the same content one wins', async () => {
      await using it = await given({});
      const tries = await Promise.allSettled(
        ['one', 'two', 'three', 'four'].map((text) => it.workspace.writeFile('new/a.txt', bytes(text), ABSENT)),
      );
      const won = tries.filter(({ status }) => status === 'fulfilled');
      expect(won).toHaveLength(1);
      expect(won[0]).toMatchObject({ value: (await it.workspace.readFile('new/a.txt', 100)).hash });
    });

    test('removes only what was expected', async () => {
      await using it = await given({ 'a.txt': 'one' });
      await expect(it.workspace.removeFile('a.txt', hashOf('two'))).rejects.toMatchObject({ code: 'workspace.file_changed' });
      await it.workspace.removeFile('a.txt', hashOf('one'));
      await expect(it.workspace.removeFile('a.txt', hashOf('one'))).rejects.toMatchObject({ code: 'workspace.file_missing' });
    });

    test('follows links that stay inside, and refuses those that lead out, to read and to write', async () => {
      await using it = await given({ 'real/a.txt': 'one' });
      await using other = await given({ 'secret.txt': 'secret' });
      await it.link('inside.txt', 'real/a.txt');
      await it.link('outside.txt', `${other.workspace.root}/secret.txt`);
      await it.link('folder', other.workspace.root);
      await it.link('nowhere', 'not/there');
      expect(await read(it.workspace, 'inside.txt')).toBe('one');
      for (const path of ['outside.txt', 'folder/secret.txt', 'nowhere']) {
        await expect(it.workspace.readFile(path, 100)).rejects.toMatchObject({ code: 'workspace.path_refused' });
        for (const expected of [hashOf('secret'), ABSENT])
          await expect(it.workspace.writeFile(path, bytes('mine'), expected)).rejects.toMatchObject({ code: 'workspace.path_refused' });
      }
      await expect(it.workspace.writeFile('folder/new.txt', bytes('mine'), ABSENT)).rejects.toMatchObject({
        code: 'workspace.path_refused',
      });
      await expect(it.workspace.run(order('pwd', { folder: 'folder' }), never)).rejects.toMatchObject({ code: 'workspace.path_refused' });
      expect(await read(other.workspace, 'secret.txt')).toBe('secret');
    });

    test('lists and searches what git does not ignore', async () => {
      await using it = await given({ '.gitignore': 'out/\n', 'src/a.ts': 'one\ntwo\n', 'out/b.ts': 'one\n', binary: bytes('one\0') });
      const { entries, leftOut } = await it.workspace.list({ folder: '', depth: 2, maxEntries: 3 });
      expect(entries.map(({ path, kind }) => `${path} ${kind}`)).toEqual(['.gitignore file', 'binary file', 'src folder']);
      expect(leftOut).toBe(1);
      const request = { pattern: '^(one|two)$', path: '', ignoreCase: false };
      expect(await it.workspace.search({ ...request, maxMatches: 10 })).toEqual({
        matches: [
          { path: 'src/a.ts', line: 1, text: 'one' },
          { path: 'src/a.ts', line: 2, text: 'two' },
        ],
        isCut: false,
      });
      expect(await it.workspace.search({ ...request, maxMatches: 1 })).toMatchObject({ isCut: true });
      await expect(it.workspace.search({ ...request, pattern: '(', maxMatches: 1 })).rejects.toMatchObject({
        code: 'workspace.pattern_refused',
      });
    });

    test('runs a command in its folder, without input, and gives the ends of what it wrote', async () => {
      await using it = await given({ 'sub/a': '' });
      const result = await it.workspace.run(
        order('ls; cat; printf 12345678; exit 4', { folder: 'sub', headBytes: 4, tailBytes: 3 }),
        never,
      );
      expect(result).toMatchObject({ ending: 'exited', exitCode: 4, output: { totalBytes: 10 } });
      expect([textOf(result.output.head), textOf(result.output.tail)]).toEqual(['a\n12', '678']);
      expect(textOf((await it.workspace.run(order(`cat '${result.output.file}'`), never)).output.head)).toBe('a\n12345678');
    });

    test('stops what takes too long, writes too much, or is no longer wanted', async () => {
      await using it = await given({});
      expect(await it.workspace.run(order('sleep 1000', { timeoutMs: 200 }), never)).toMatchObject({ ending: 'timed_out' });
      expect(await it.workspace.run(order('while :; do echo too much; done', { maxOutputBytes: 10_000 }), never)).toMatchObject({
        ending: 'output_limit',
      });
      expect(await it.workspace.run(order('kill -9 $$'), never)).toMatchObject({ ending: 'signalled', signal: 'SIGKILL' });
      const abort = new AbortController();
      const stopped = it.workspace.run(order('echo > begun; sleep 1000', { timeoutMs: 600_000 }), abort.signal);
      const isBegun = (): Promise<boolean> =>
        it.workspace.readFile('begun', 10).then(
          () => true,
          () => false,
        );
      while (!(await isBegun())) await new Promise((resolve) => setTimeout(resolve, 10));
      abort.abort();
      await expect(stopped).rejects.toThrow();
      await expect(it.workspace.run(order('echo'), abort.signal)).rejects.toThrow();
    });

    test('the hash of its tree changes with any file that is not ignored, and comes back with it', async () => {
      await using it = await given({ '.gitignore': 'out/\n', 'a.txt': 'one' });
      const { workspace } = it;
      const before = await workspace.treeHash();
      await workspace.writeFile('out/x', bytes('x'), ABSENT);
      expect(await workspace.treeHash()).toBe(before);
      await workspace.writeFile('new.txt', bytes('x'), ABSENT);
      expect(await workspace.treeHash()).not.toBe(before);
      await workspace.removeFile('new.txt', hashOf('x'));
      await workspace.writeFile('a.txt', bytes('two'), hashOf('one'));
      expect(await workspace.treeHash()).not.toBe(before);
      await workspace.writeFile('a.txt', bytes('one'), hashOf('two'));
      expect(await workspace.treeHash()).toBe(before);
    });
  });
}
