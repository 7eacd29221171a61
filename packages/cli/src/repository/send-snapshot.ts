import { Readable } from 'node:stream';
import type { Client } from '@helixcode/client/http-client';
import { CodedError } from '@helixcode/protocol/errors';
import { GitError, gitText, streamGit } from './git.ts';

/**
 * Makes sure that the server has the commit: sends as a git bundle what it lacks.
 *
 * @returns the bytes that were sent, 0 where it had the commit
 * @throws CodedError `snapshot.refused`, `api.payload_too_large`; `snapshot.failed` when git cannot read the repository
 */
export async function sendSnapshot(client: Client, project: string, root: string, commit: string, signal?: AbortSignal): Promise<number> {
  const { commits: tips } = await client.call('projects.tips', { params: { project } });
  if (tips.includes(commit)) return 0;
  let bytes = 0;
  try {
    const known = await knownHere(root, tips);
    if (known.length > 0 && (await isAmong(root, commit, known))) return 0;
    const bundle = Readable.from(
      (async function* count(): AsyncGenerator<Buffer> {
        for await (const chunk of await openBundle(root, commit, known)) {
          bytes += (chunk as Buffer).length;
          yield chunk as Buffer;
        }
      })(),
      { objectMode: false },
    );
    await client.call('projects.snapshot', {
      params: { project },
      query: { commit },
      body: Readable.toWeb(bundle) as ReadableStream<Uint8Array>,
      ...(signal && { signal }),
    });
  } catch (error) {
    const cause = error instanceof CodedError ? gitErrorIn(error) : error;
    if (!(cause instanceof GitError)) throw error;
    throw new CodedError('snapshot.failed', `commit ${commit.slice(0, 12)} cannot be read: ${cause.reason}`, { next: 'git fsck', cause });
  }
  return bytes;
}

/**
 * A git bundle with the commit and what it needs beyond `known`, written by hand: git's own `bundle create` takes named refs
 * only, and no name is put into the person's repository.
 * @see git's documentation, gitformat-bundle
 */
export async function openBundle(root: string, commit: string, known: readonly string[]): Promise<Readable> {
  const exclusions = known.map((tip) => `^${tip}\n`).join('');
  const boundary =
    known.length === 0 ? '' : await gitText(['rev-list', '--boundary', '--stdin'], { cwd: root, stdin: `${commit}\n${exclusions}` });
  const prerequisites = boundary.split('\n').filter((line) => line.startsWith('-'));
  const version = commit.length === 64 ? '# v3 git bundle\n@object-format=sha256\n' : '# v2 git bundle\n';
  const header = `${version}${prerequisites.map((line) => `${line}\n`).join('')}${commit} refs/heads/snapshot\n\n`;
  const pack = streamGit(['pack-objects', '--revs', '--thin', '--delta-base-offset', '--stdout', '-q'], {
    cwd: root,
    stdin: `${commit}\n${exclusions}`,
  });
  async function* bundle(): AsyncGenerator<Buffer> {
    yield Buffer.from(header);
    for await (const chunk of pack) yield chunk as Buffer;
  }
  return Readable.from(bundle(), { objectMode: false });
}

/** Which of the commits that the server has are here too. */
async function knownHere(root: string, tips: readonly string[]): Promise<string[]> {
  if (tips.length === 0) return [];
  const stdin = tips.map((tip) => `${tip}\n`).join('');
  // A clone without all its objects would fetch the unknown ones only to say that they are not here.
  const lines = await gitText(['cat-file', '--batch-check'], { cwd: root, stdin, env: { GIT_NO_LAZY_FETCH: '1' } });
  return lines.split('\n').flatMap((line) => /^([0-9a-f]+) commit /.exec(line)?.[1] ?? []);
}

async function isAmong(root: string, commit: string, known: readonly string[]): Promise<boolean> {
  const stdin = `${commit}\n${known.map((tip) => `^${tip}\n`).join('')}`;
  return (await gitText(['rev-list', '--max-count=1', '--stdin'], { cwd: root, stdin })) === '';
}

function gitErrorIn(error: Error): unknown {
  for (let inner: unknown = error; inner instanceof Error; inner = inner.cause) if (inner instanceof GitError) return inner;
  return undefined;
}
