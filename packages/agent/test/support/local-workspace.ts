import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { chmod, link, lstat, mkdir, mkdtemp, open, readFile, realpath, rename, rm, stat, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { CodedError, type ErrorCode } from '@helixcode/protocol/errors';
import { isBinary } from '../../src/edit/file-text.ts';
import { ABSENT, type FolderEntry, type RunResult, type Workspace } from '../../src/workspace.ts';

const run = promisify(execFile);

/** A workspace that is a folder of this machine, with git's own rules for what is ignored. */
export interface LocalWorkspace extends Workspace, AsyncDisposable {
  /** Commands it ran, in order. */
  readonly commands: string[];
}

/** @param files content by path */
export async function givenWorkspace(files: Record<string, string | Uint8Array> = {}): Promise<LocalWorkspace> {
  const home = await mkdtemp(path.join(tmpdir(), 'helixcode-agent-'));
  const root = path.join(await realpath(home), 'workspace');
  await mkdir(root);
  for (const [name, content] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(root, name)), { recursive: true });
    await writeFile(path.join(root, name), content);
  }
  return openWorkspace(root, home);
}

function openWorkspace(root: string, home: string): LocalWorkspace {
  const gitFolder = path.join(home, 'git');
  const children = new Set<ChildProcess>();
  const commands: string[] = [];
  let prepared: Promise<unknown> | undefined;

  /** Runs git over the folder with a repository of its own, beside it. */
  async function git(...args: string[]): Promise<string> {
    await (prepared ??= run('git', ['init', '-q', '--bare', gitFolder]));
    const { stdout } = await run('git', [`--git-dir=${gitFolder}`, `--work-tree=${root}`, ...args], { cwd: root, maxBuffer: 1 << 28 });
    return stdout;
  }

  async function files(): Promise<string[]> {
    return (await git('ls-files', '-z', '--others', '--exclude-standard')).split('\0').filter((name) => name !== '');
  }

  /** The real place of a path, links followed; of a file that is not there, as far as its folders are. */
  async function resolve(name: string): Promise<string> {
    const whole = path.join(root, name);
    let real: string;
    try {
      real = await realpath(whole);
    } catch (error) {
      if (!isCode(error, 'ENOENT') && !isCode(error, 'ENOTDIR') && !isCode(error, 'ELOOP')) throw error;
      // A link to nothing would be followed by a write.
      if ((await lstat(whole).catch(() => undefined))?.isSymbolicLink())
        throw refuse('workspace.path_refused', name, 'is a link that leads nowhere');
      const folder = path.dirname(name);
      if (folder === '.') return whole;
      const parent = await resolve(folder);
      if (!(await stat(parent).catch(() => undefined))?.isDirectory() && isCode(error, 'ENOTDIR'))
        throw refuse('workspace.not_a_file', name, 'lies in something that is no folder');
      real = path.join(parent, path.basename(name));
    }
    if (real !== root && !real.startsWith(`${root}/`)) throw refuse('workspace.path_refused', name, 'leads out of the workspace');
    if (real.split('/').includes('.git')) throw refuse('workspace.path_refused', name, 'leads into the data of git');
    return real;
  }

  async function hashAt(real: string, name: string): Promise<string> {
    try {
      return hash(await readFile(real));
    } catch (error) {
      if (isCode(error, 'ENOENT')) return ABSENT;
      if (isCode(error, 'EISDIR')) throw refuse('workspace.not_a_file', name, 'is a folder');
      throw error;
    }
  }

  return {
    root,
    commands,
    async readFile(name, maxBytes) {
      const real = await resolve(name);
      const about = await stat(real).catch(() => undefined);
      if (about === undefined) throw refuse('workspace.file_missing', name, 'does not exist');
      if (!about.isFile()) throw refuse('workspace.not_a_file', name, about.isDirectory() ? 'is a folder' : 'is no file');
      if (about.size > maxBytes) throw refuse('workspace.file_too_large', name, `has ${about.size} bytes, more than ${maxBytes}`);
      const bytes = await readFile(real);
      return { bytes, hash: hash(bytes) };
    },
    async writeFile(name, bytes, expected) {
      const real = await resolve(name);
      await mkdir(path.dirname(real), { recursive: true });
      const temporary = path.join(path.dirname(real), `.helix-${randomUUID()}`);
      const file = await open(temporary, 'wx');
      try {
        await file.writeFile(bytes);
        const mode = (await stat(real).catch(() => undefined))?.mode;
        if (mode !== undefined) await chmod(temporary, mode & 0o7777);
        if ((await hashAt(real, name)) !== expected) throw refuse('workspace.file_changed', name, 'was changed in the meantime');
        // A file that must not be there is not replaced even where it comes in this very moment.
        if (expected === ABSENT)
          await link(temporary, real).then(
            () => unlink(temporary),
            (error) => Promise.reject(changed(error, name)),
          );
        else await rename(temporary, real);
      } finally {
        await file.close();
        await rm(temporary, { force: true });
      }
      return hash(bytes);
    },
    async removeFile(name, expected) {
      const real = await resolve(name);
      const present = await hashAt(real, name);
      if (present === ABSENT) throw refuse('workspace.file_missing', name, 'does not exist');
      if (present !== expected) throw refuse('workspace.file_changed', name, 'was changed in the meantime');
      await unlink(path.join(root, name));
    },
    async list({ folder, depth, maxEntries }) {
      const real = await resolve(folder);
      if (!(await stat(real).catch(() => undefined))?.isDirectory()) throw refuse('workspace.file_missing', folder, 'is no folder');
      const prefix = folder === '' ? '' : `${folder}/`;
      const found = new Map<string, FolderEntry['kind']>();
      for (const name of await files()) {
        if (!name.startsWith(prefix)) continue;
        const parts = name.slice(prefix.length).split('/');
        for (let length = 1; length <= Math.min(depth, parts.length); length++)
          found.set(prefix + parts.slice(0, length).join('/'), length < parts.length ? 'folder' : 'file');
      }
      const names = [...found.keys()].sort();
      const entries = await Promise.all(
        names.slice(0, maxEntries).map(async (name): Promise<FolderEntry> => {
          const about = await lstat(path.join(root, name));
          if (about.isSymbolicLink()) return { path: name, kind: 'link' };
          return about.isDirectory() ? { path: name, kind: 'folder' } : { path: name, kind: 'file', bytes: about.size };
        }),
      );
      return { entries, leftOut: Math.max(0, names.length - maxEntries), isCounted: true };
    },
    async search({ pattern, path: within, glob, ignoreCase, maxMatches }) {
      await resolve(within);
      let expression: RegExp;
      try {
        expression = new RegExp(pattern, ignoreCase ? 'i' : '');
      } catch (error) {
        throw new CodedError('workspace.pattern_refused', (error as Error).message, { cause: error });
      }
      const matches: { path: string; line: number; text: string }[] = [];
      for (const name of (await files()).sort()) {
        if (within !== '' && name !== within && !name.startsWith(`${within}/`)) continue;
        if (glob !== undefined && !path.matchesGlob(glob.includes('/') ? name : path.basename(name), glob)) continue;
        if (!(await lstat(path.join(root, name))).isFile()) continue;
        const bytes = await readFile(path.join(root, name));
        if (isBinary(bytes)) continue;
        for (const [index, text] of bytes.toString().split('\n').entries()) {
          if (!expression.test(text)) continue;
          if (matches.length === maxMatches) return { matches, isCut: true };
          matches.push({ path: name, line: index + 1, text });
        }
      }
      return { matches, isCut: false };
    },
    async run({ command, folder, timeoutMs, headBytes, tailBytes, maxOutputBytes }, signal) {
      const cwd = await resolve(folder);
      signal.throwIfAborted();
      commands.push(command);
      const file = path.join(home, `output-${commands.length}`);
      const fd = openSync(file, constants.O_CREAT | constants.O_RDWR | constants.O_APPEND, 0o600);
      const child = spawn('/bin/sh', ['-c', command], { cwd, detached: true, stdio: ['ignore', fd, fd] });
      children.add(child);
      let ending: RunResult['ending'] = 'exited';
      const stop = (why: RunResult['ending']): void => {
        ending = why;
        killGroup(child);
      };
      const timer = setTimeout(() => stop('timed_out'), timeoutMs);
      const watch = setInterval(() => fstatSync(fd).size > maxOutputBytes && stop('output_limit'), 20);
      const onAbort = (): void => killGroup(child);
      signal.addEventListener('abort', onAbort);
      try {
        const [exitCode, killedBy] = await new Promise<[number | null, string | null]>((done, fail) => {
          child.on('error', fail);
          child.on('exit', (code, by) => done([code, by]));
        });
        signal.throwIfAborted();
        const totalBytes = fstatSync(fd).size;
        const head = readAt(fd, 0, Math.min(headBytes, totalBytes));
        const tailLength = Math.min(tailBytes, totalBytes - head.length);
        const output = { head, tail: readAt(fd, totalBytes - tailLength, tailLength), totalBytes, file };
        if (ending !== 'exited') return { ending, output };
        return exitCode === null ? { ending: 'signalled', signal: String(killedBy), output } : { ending, exitCode, output };
      } finally {
        clearTimeout(timer);
        clearInterval(watch);
        signal.removeEventListener('abort', onAbort);
        closeSync(fd);
      }
    },
    async treeHash() {
      await git('add', '-A');
      const tree = (await git('write-tree')).trim();
      // The index stays empty, so that all files are listed as others.
      await git('read-tree', '--empty');
      return tree;
    },
    async [Symbol.asyncDispose]() {
      for (const child of children) killGroup(child);
      await rm(home, { recursive: true, force: true });
    },
  };
}

function killGroup(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  } catch (error) {
    if (!isCode(error, 'ESRCH')) throw error;
  }
}

function readAt(fd: number, position: number, length: number): Uint8Array {
  const bytes = Buffer.alloc(length);
  return bytes.subarray(0, readSync(fd, bytes, 0, length, position));
}

function hash(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function changed(error: unknown, name: string): unknown {
  return isCode(error, 'EEXIST') ? refuse('workspace.file_changed', name, 'was made in the meantime') : error;
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

function refuse(code: ErrorCode, name: string, why: string): CodedError {
  return new CodedError(code, `${name} ${why}`);
}
