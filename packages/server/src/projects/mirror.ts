import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { appendFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { CodedError } from '@helixcode/protocol/errors';
import type { ProjectId } from '@helixcode/protocol/ids';
import { createGit, type Git, GitError } from './git.ts';
import { sourceCredentials } from './source-credentials.ts';

export type ObjectFormat = 'sha1' | 'sha256';

export interface SourceTip {
  /** Where the default branch of the source stands. */
  commit: string;
  defaultBranch: string | undefined;
}

/** Refs of commits that did not come from the source: one per commit, named by it. Workers do not see them listed. */
export const SNAPSHOT_REFS = 'refs/helix/snapshots';
/** A client leaves out of a bundle what these have; further back than so many refs nobody starts. */
const MAX_TIPS = 2_000;
const BEING_MADE = '.new-';
/** To look whether a repository wants to be tidied costs as much as many a change of it. */
const TIDY_EVERY_CHANGES = 10;

/** The bare repository that the server keeps of each project, from which workers fetch: `<folder>/<project>.git`. */
export interface Mirrors {
  readonly git: Git;
  folderOf(project: ProjectId): string;
  /** Makes the mirror whole or not at all. @throws CodedError `project.source_unreadable`, with what git said */
  create(project: ProjectId, source: string): Promise<SourceTip>;
  /** Makes an empty one where there is none: of a project without a source, at its first snapshot. */
  ensure(project: ProjectId, format: ObjectFormat): Promise<void>;
  /** Brings branches and tags to where the source has them. @throws CodedError `project.source_unreadable` */
  fetch(project: ProjectId, source: string): Promise<SourceTip>;
  /**
   * Commits that branches, tags and snapshots stand on, and the parents of those, the youngest first.
   * @param without snapshots that are not to be counted on
   */
  tips(project: ProjectId, without?: ReadonlySet<string>): Promise<string[]>;
  hasCommit(project: ProjectId, commit: string): Promise<boolean>;
  /** What changes a mirror goes through here, one after the other for each project. */
  exclusively<T>(project: ProjectId, change: () => Promise<T>): Promise<T>;
  remove(project: ProjectId): Promise<void>;
  /** From now on no checkpoint is let go of, until the returned function is called: what is noted of them is being copied. */
  holdCheckpoints(): () => void;
  areCheckpointsHeld(): boolean;
  /** Resolves when no change is under way. */
  settled(): Promise<void>;
}

/**
 * @param folder of all mirrors; made when absent, and cleared of mirrors that were never finished
 * @param owner whose unfinished mirrors those are: the folder may be shared
 */
export function createMirrors(folder: string, { owner = '' }: { owner?: string } = {}): Mirrors {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const beingMade = owner === '' ? BEING_MADE : `${BEING_MADE}${owner}-`;
  for (const name of readdirSync(folder)) {
    if (name.startsWith(beingMade)) rmSync(path.join(folder, name), { recursive: true, force: true });
  }
  const git = createGit(folder);
  const queues = new Map<ProjectId, Promise<unknown>>();
  const changes = new Map<ProjectId, number>();

  let holders = 0;

  const folderOf = (project: ProjectId): string => path.join(folder, `${project}.git`);

  const exclusively: Mirrors['exclusively'] = (project, change) => {
    const turn = (queues.get(project) ?? Promise.resolve()).then(change);
    const changed = (changes.get(project) ?? 0) + 1;
    changes.set(project, changed % TIDY_EVERY_CHANGES);
    const end = turn.catch(() => {}).then(() => (changed === TIDY_EVERY_CHANGES ? tidy(git, folderOf(project)) : undefined));
    queues.set(project, end);
    void end.then(() => queues.get(project) === end && queues.delete(project));
    return turn;
  };

  /** `fill` sees the new repository before anybody else can. */
  const make = async <T>(project: ProjectId, format: ObjectFormat, fill: (gitDir: string) => Promise<T>): Promise<T> => {
    const unfinished = path.join(folder, `${beingMade}${project}-${randomBytes(4).toString('hex')}`);
    try {
      await initialise(git, unfinished, format);
      const result = await fill(unfinished);
      await rename(unfinished, folderOf(project));
      return result;
    } finally {
      await rm(unfinished, { recursive: true, force: true });
    }
  };

  return {
    git,
    folderOf,
    exclusively,

    create: (project, source) =>
      exclusively(project, async () => {
        const { tip, env } = await readSource(git, source);
        return make(project, tip.commit.length === 64 ? 'sha256' : 'sha1', async (gitDir) => {
          await fetchInto(git, gitDir, source, tip, env);
          return tip;
        });
      }),

    async ensure(project, format) {
      if (existsSync(folderOf(project))) return;
      await exclusively(project, async () => {
        if (existsSync(folderOf(project))) return;
        await make(project, format, async () => {}).catch((error: unknown) => {
          // Another server that shares the folder was quicker.
          if (!existsSync(folderOf(project))) throw error;
        });
      });
    },

    fetch: (project, source) =>
      exclusively(project, async () => {
        const { tip, env } = await readSource(git, source);
        await fetchInto(git, folderOf(project), source, tip, env);
        return tip;
      }),

    async tips(project, without = new Set()) {
      if (!existsSync(folderOf(project))) return [];
      const lines = await git.text([
        `--git-dir=${folderOf(project)}`,
        'for-each-ref',
        `--count=${MAX_TIPS}`,
        '--sort=-creatordate',
        '--format=%(refname) %(objectname) %(*objectname) %(parent)',
      ]);
      const commits = lines.split('\n').flatMap((line) => {
        const [name = '', ...rest] = line.split(/\s+/);
        return without.has(name.slice(SNAPSHOT_REFS.length + 1)) && name.startsWith(SNAPSHOT_REFS) ? [] : rest;
      });
      return [...new Set(commits.filter((commit) => commit !== ''))];
    },

    async hasCommit(project, commit) {
      if (!existsSync(folderOf(project))) return false;
      try {
        await git.run([`--git-dir=${folderOf(project)}`, 'cat-file', '-e', `${commit}^{commit}`]);
        return true;
      } catch (error) {
        if (error instanceof GitError) return false;
        throw error;
      }
    },

    remove: (project) => exclusively(project, () => rm(folderOf(project), { recursive: true, force: true })),

    holdCheckpoints() {
      holders++;
      return () => void holders--;
    },
    areCheckpointsHeld: () => holders > 0,

    async settled() {
      while (queues.size > 0) await Promise.all(queues.values());
    },
  };
}

/** `--template=`: nothing of the machine's templates, above all no hooks. */
async function initialise(git: Git, gitDir: string, format: ObjectFormat): Promise<void> {
  await git.run(['init', '--quiet', '--bare', '--template=', `--object-format=${format}`, '--initial-branch=main', gitDir]);
  await appendFile(
    path.join(gitDir, 'config'),
    ['[uploadpack]', '\tallowAnySHA1InWant = true', '\tallowFilter = true', '[transfer]', '\thideRefs = refs/helix', ''].join('\n'),
  );
}

async function readSource(git: Git, source: string): Promise<{ tip: SourceTip; env: NodeJS.ProcessEnv }> {
  refuseOddSource(source);
  const env = { GIT_ALLOW_PROTOCOL: 'file:git:http:https:ssh', ...(isUrl(source) && (await sourceCredentials())) };
  const lines = await asking(source, () => git.text(['ls-remote', '--symref', '--', source, 'HEAD', 'refs/heads/*'], { env }));
  const refs = lines.split('\n').map((line) => line.split('\t'));
  const branch = refs.find(([target, name]) => name === 'HEAD' && target?.startsWith('ref: '))?.[0]?.slice('ref: '.length);
  // HEAD may stand on a branch that does not exist: then the first that does is as good as any.
  const head =
    refs.find(([hash, name]) => name === 'HEAD' && !hash?.startsWith('ref: ')) ?? refs.find(([, name]) => name?.startsWith('refs/heads/'));
  if (head?.[0] === undefined || head[0] === '')
    throw new CodedError('project.source_unreadable', `${source} has no commits yet`, { next: `git -C ${source} commit` });
  const defaultBranch = head[1] === 'HEAD' ? branch : head[1];
  return { tip: { commit: head[0], defaultBranch: defaultBranch?.replace(/^refs\/heads\//, '') }, env };
}

async function fetchInto(git: Git, gitDir: string, source: string, tip: SourceTip, env: NodeJS.ProcessEnv): Promise<void> {
  await asking(source, () =>
    git.run(
      [
        `--git-dir=${gitDir}`,
        '-c',
        'http.lowSpeedLimit=1000',
        '-c',
        'http.lowSpeedTime=60',
        'fetch',
        '--quiet',
        '--prune',
        '--no-tags',
        '--no-write-fetch-head',
        '--no-recurse-submodules',
        '--',
        source,
        '+refs/heads/*:refs/heads/*',
        '+refs/tags/*:refs/tags/*',
      ],
      { env },
    ),
  );
  if (tip.defaultBranch !== undefined) await git.run([`--git-dir=${gitDir}`, 'symbolic-ref', 'HEAD', `refs/heads/${tip.defaultBranch}`]);
}

/** Puts small packs together now and then, while nobody waits. A repository that cannot be tidied still works. */
async function tidy(git: Git, gitDir: string): Promise<void> {
  if (!existsSync(gitDir)) return;
  await git.run([`--git-dir=${gitDir}`, 'maintenance', 'run', '--auto', '--quiet']).catch((error: unknown) => {
    if (!(error instanceof GitError)) throw error;
  });
}

/** `scheme://…`, or ssh's `host:path`. */
function isUrl(source: string): boolean {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(source) || /^[^/:]+:/.test(source);
}

function refuseOddSource(source: string): void {
  if (source.startsWith('-') || (!isUrl(source) && !path.isAbsolute(source)))
    throw new CodedError('project.source_unreadable', `${source} is neither an absolute path nor a URL`, { next: 'helix projects add .' });
  if (/^[a-z][a-z0-9+.-]*:\/\/[^/@]*:[^/@]*@/i.test(source))
    throw new CodedError('project.source_unreadable', 'the URL holds a password, which would be kept and shown with the project', {
      next: 'git credential approve',
    });
}

async function asking<T>(source: string, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof GitError)) throw error;
    throw new CodedError('project.source_unreadable', `git cannot read ${source}: ${error.reason}`, {
      next: `git ls-remote ${source}`,
      cause: error,
    });
  }
}
