import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Client } from '@helixcode/client/http-client';
import type { SessionView } from '@helixcode/protocol/api/session-views';
import { CodedError } from '@helixcode/protocol/errors';
import { GitError, gitText, runGit } from './git.ts';

/** Where the changes of a session are in a person's repository. */
export interface ChangesBranch {
  /** Without `refs/heads/`. */
  name: string;
  commit: string;
  /** False: it was there already. */
  isNew: boolean;
  /** Shows what the agent changed, and nothing else. */
  look: string;
}

const SLUG_LENGTH = 40;

/** `helix/make-payments-idempotent-x4t7r2`: what it is about, and the end of the id, which tells equal titles apart. */
export function branchNameOf({ id, title }: Pick<SessionView, 'id' | 'title'>): string {
  const slug = title
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, SLUG_LENGTH)
    .replace(/^-+|-+$/g, '');
  return `helix/${slug === '' ? 'session' : slug}-${id.slice(-6)}`;
}

/**
 * Brings what an agent changed into the repository, as a branch of its own. HEAD, the index and the files stay as they are;
 * a branch of that name that holds something else stays too, and the new one gets a number behind its name.
 *
 * @throws CodedError `session.no_changes`; `snapshot.failed` where the repository lacks what the session began at
 */
export async function takeChanges(
  client: Client,
  root: string,
  session: Pick<SessionView, 'id' | 'title' | 'base'>,
): Promise<ChangesBranch> {
  const response = await client.call('sessions.changes', { params: { session: session.id } });
  const commit = response.headers.get('helix-commit') ?? '';
  const bundle = Buffer.from(await response.arrayBuffer());
  if (!/^[0-9a-f]{40,64}$/.test(commit))
    throw new CodedError('server.unreachable', 'what answers is not a HelixCode server: its answer names no commit', {
      next: 'helix status',
    });
  const at = { cwd: root };
  if (!(await hasCommit(root, session.base)))
    throw new CodedError(
      'snapshot.failed',
      `this repository does not have commit ${session.base.slice(0, 12)}, which session ${session.id} began at`,
      { next: `run \`helix sessions fetch ${session.id}\` in the clone that it was started in` },
    );
  try {
    await unpack(root, bundle);
    const branch = await pointBranch(root, branchNameOf(session), commit, session.id);
    const isBelowHead = await runGit(['merge-base', '--is-ancestor', session.base, 'HEAD'], at).then(
      () => true,
      () => false,
    );
    // What it began at has uncommitted changes of the person in it: against HEAD they would be shown as the agent's.
    return { ...branch, commit, look: isBelowHead ? `git diff HEAD...${branch.name}` : `git show ${branch.name}` };
  } catch (cause) {
    if (!(cause instanceof GitError)) throw cause;
    throw new CodedError('snapshot.failed', `what session ${session.id} changed cannot be put into this repository: ${cause.reason}`, {
      next: `git fsck; then helix sessions fetch ${session.id}`,
      cause,
    });
  }
}

async function unpack(root: string, bundle: Buffer): Promise<void> {
  const folder = await mkdtemp(path.join(tmpdir(), 'helix-changes-'));
  try {
    const file = path.join(folder, 'changes.bundle');
    await writeFile(file, bundle);
    await runGit(['bundle', 'unbundle', file], { cwd: root });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function pointBranch(root: string, wanted: string, commit: string, session: string): Promise<{ name: string; isNew: boolean }> {
  for (let count = 1; ; count++) {
    const name = count === 1 ? wanted : `${wanted}-${count}`;
    const present = await gitText(['rev-parse', '--verify', '--quiet', `refs/heads/${name}`], { cwd: root }).catch(() => undefined);
    if (present === commit) return { name, isNew: false };
    if (present !== undefined) continue;
    // All zeros: only if nobody made it meanwhile.
    const nothing = '0'.repeat(commit.length);
    await runGit(['update-ref', '--create-reflog', '-m', `helix: session ${session}`, `refs/heads/${name}`, commit, nothing], {
      cwd: root,
    });
    return { name, isNew: true };
  }
}

function hasCommit(root: string, commit: string): Promise<boolean> {
  return runGit(['cat-file', '-e', `${commit}^{commit}`], { cwd: root, env: { GIT_NO_LAZY_FETCH: '1' } }).then(
    () => true,
    () => false,
  );
}
