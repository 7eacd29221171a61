import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { readPlainFile } from './plain-file.ts';

/**
 * The git data that a sandboxed job works with, instead of those of its checkout. It begins as the checkout's own:
 * its commit, its index. What commands change in it (branches, configuration, hooks, objects) is theirs alone, and
 * the daemon's git never runs on it: a configuration can name programs to run.
 *
 * Two repositories share its objects and those of the worker's repository of the project, which nobody can write to:
 * - `git`, for the commands. `link` takes the place of the checkout's `.git`.
 * - `record.git`, for the daemon, to record the checkout with.
 */
export class PrivateGit {
  readonly folder: string;
  /** The worker's objects of the project. */
  readonly sharedObjects: string;

  private constructor(folder: string, sharedObjects: string) {
    this.folder = folder;
    this.sharedObjects = sharedObjects;
  }

  /**
   * Makes the git data of a job, or finds those that it has.
   *
   * @param parent folder of the job's private things
   * @param tree the checkout
   * @returns `undefined` for a folder that is no checkout of the worker
   */
  static of(parent: string, tree: string): PrivateGit | undefined {
    const found = PrivateGit.find(parent);
    if (found) return found;
    const own = /^gitdir: (.+)\n?$/.exec(readPlainFile(join(tree, '.git'))?.bytes.toString('utf8') ?? '')?.[1];
    if (own === undefined) return undefined;
    const common = resolve(own, readFileSync(join(own, 'commondir'), 'utf8').trim());
    const sharedObjects = join(common, 'objects');
    const folder = join(parent, 'git');
    // Beside its place: half of it must not be taken for the whole.
    const draft = join(parent, 'git.new');
    rmSync(draft, { recursive: true, force: true });
    const head = readFileSync(join(own, 'HEAD'), 'utf8').trim();
    const origin = { head, shallow: join(common, 'shallow') };
    makeRepository(join(draft, 'git'), origin, [sharedObjects], false);
    makeRepository(join(draft, 'record.git'), origin, [sharedObjects, join(folder, 'git', 'objects')], true);
    copyWithTime(join(own, 'index'), join(draft, 'git', 'index'));
    writeFileSync(join(draft, 'link'), `gitdir: ${join(folder, 'git')}\n`);
    writeFileSync(join(draft, 'shared-objects'), sharedObjects);
    renameSync(draft, folder);
    return new PrivateGit(folder, sharedObjects);
  }

  /** @returns `undefined` while no command of the job ran in a sandbox: the checkout's own git data are the ones that count */
  static find(parent: string): PrivateGit | undefined {
    const folder = join(parent, 'git');
    const sharedObjects = readPlainFile(join(folder, 'shared-objects'))?.bytes.toString('utf8');
    return sharedObjects === undefined ? undefined : new PrivateGit(folder, sharedObjects);
  }

  /**
   * Arguments of bwrap. What a repository of the job may not change is a mount of its own, so that no folder above it
   * can be moved away either.
   */
  args(tree: string): string[] {
    const git = join(this.folder, 'git');
    const objects = join(git, 'objects');
    const info = join(objects, 'info');
    const alternates = join(info, 'alternates');
    return [
      ...['--bind', git, git, '--bind', objects, objects, '--bind', info, info, '--ro-bind', alternates, alternates],
      ...['--ro-bind', this.sharedObjects, this.sharedObjects],
      ...['--ro-bind', join(this.folder, 'link'), join(tree, '.git')],
    ];
  }

  /** What the daemon's git needs to look at the checkout, beside an index of its own. */
  environment(tree: string): Record<string, string> {
    return { GIT_DIR: join(this.folder, 'record.git'), GIT_WORK_TREE: tree };
  }

  /** @returns the commit that commands stand on; `undefined` on a branch without one */
  head(): string | undefined {
    const git = join(this.folder, 'git');
    const head = textOf(join(git, 'HEAD'));
    if (head === undefined || isObjectId(head)) return head;
    const branch = /^ref: (refs\/[^\0]+)$/.exec(head)?.[1];
    if (branch === undefined || branch.split('/').includes('..')) return undefined;
    const loose = textOf(join(git, branch));
    if (loose !== undefined && isObjectId(loose)) return loose;
    const packed = textOf(join(git, 'packed-refs'))?.split('\n') ?? [];
    const id = packed.find((line) => line.endsWith(` ${branch}`))?.split(' ')[0];
    return id !== undefined && isObjectId(id) ? id : undefined;
  }

  /** Copies the index, as old as it is: git distrusts entries that are as young as their index. */
  copyIndex(to: string): void {
    rmSync(to, { force: true });
    const index = readPlainFile(join(this.folder, 'git', 'index'));
    if (!index) return; // None: everything is new.
    writeFileSync(to, index.bytes);
    setTime(to, index.mtimeMs);
  }
}

function makeRepository(folder: string, origin: { head: string; shallow: string }, objects: string[], isBare: boolean): void {
  for (const name of ['objects/info', 'objects/pack', 'refs/heads', 'refs/tags', 'info'])
    mkdirSync(join(folder, name), { recursive: true, mode: 0o700 });
  const isSha256 = origin.head.length === 64;
  writeFileSync(
    join(folder, 'config'),
    `[core]
	repositoryFormatVersion = ${isSha256 ? 1 : 0}
	bare = ${isBare}
	logAllRefUpdates = ${!isBare}
${isSha256 ? '[extensions]\n\tobjectFormat = sha256\n' : ''}[gc]
	auto = 0
[user]
	name = helix
	email = helix@localhost
`,
  );
  writeFileSync(join(folder, 'HEAD'), `${origin.head}\n`);
  writeFileSync(join(folder, 'objects', 'info', 'alternates'), `${objects.join('\n')}\n`);
  if (existsSync(origin.shallow)) copyFileSync(origin.shallow, join(folder, 'shallow'));
}

function copyWithTime(from: string, to: string): void {
  const { mtimeMs } = statSync(from);
  copyFileSync(from, to);
  setTime(to, mtimeMs);
}

/** Whole seconds: of a time that is rounded, none may come out later. */
function setTime(path: string, mtimeMs: number): void {
  const seconds = Math.floor(mtimeMs) / 1000;
  utimesSync(path, seconds, seconds);
}

function textOf(path: string): string | undefined {
  return readPlainFile(path)?.bytes.toString('utf8').trim();
}

function isObjectId(text: string): boolean {
  return /^[0-9a-f]{40}([0-9a-f]{24})?$/.test(text);
}
