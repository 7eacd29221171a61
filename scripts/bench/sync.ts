import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Client } from '@helixcode/client/http-client';
import { givenSshd, noSshd, type TestSshd } from '../../packages/server/test/support/sshd.ts';
import { runTask } from '../../test/support/hand-in.ts';
import type { ServerProcess } from '../../test/support/server-process.ts';
import { workersAreUp } from '../../test/support/wait-for.ts';
import { mustRun } from '../demo/command.ts';
import { benchServer } from './bench-server.ts';
import { givenGrownRepository } from './grown-repository.ts';
import type { Measurement } from './measurement.ts';
import { sshOptions } from './ssh-options.ts';

const WORKER = 'far';
const GROWTHS = 3;

/**
 * How long a commit needs until its files stand on a worker: through the server's mirror and the worker's own link. Beside
 * it, `git push` over ssh to a bare repository and a checkout of what was pushed, which is what the same takes by hand.
 */
export async function measure(cleanUp: AsyncDisposableStack): Promise<Measurement> {
  const folder = mkdtempSync(path.join(tmpdir(), 'helix-sync-'));
  cleanUp.defer(() => rmSync(folder, { recursive: true, force: true }));
  const repository = await givenGrownRepository(path.join(folder, 'source.git'));
  const sshd = noSshd ? undefined : await givenSshd();
  if (sshd) cleanUp.defer(() => sshd.remove());
  const server = await benchServer(cleanUp, { HELIX_WORKERS_LOCAL: 'false', HELIX_WORKERS_USER_SSH_CONFIG: 'false' });
  await server.client.call('workers.add', {
    body: sshd
      ? {
          name: WORKER,
          transport: 'ssh',
          slots: 1,
          host: sshd.host,
          port: sshd.port,
          user: sshd.user,
          identityFile: sshd.identityFile,
          knownHostsFile: sshd.knownHostsFile,
          folder: path.join(folder, 'worker'),
        }
      : { name: WORKER, transport: 'local', slots: 1 },
  });
  await workersAreUp(server.client, 1);

  const startMs = performance.now();
  const project = await server.client.call('projects.add', { body: { name: 'grown', source: repository.folder } });
  const { commit } = await server.client.call('projects.fetch', { params: { project: project.id } });
  const firstToServerMs = performance.now() - startMs;
  const first = { toServerMs: firstToServerMs, toWorkerMs: await checkOut(server, project.id, commit) };
  const noneMs = await checkOut(server, project.id, commit);
  const push = sshd && (await openPush(folder, repository.folder, sshd));
  const firstPush = await push?.(commit);
  const nonePush = await push?.(commit);

  const later: { toServerMs: number; toWorkerMs: number; push: Pushed | undefined }[] = [];
  for (let n = 0; n < GROWTHS; n++) {
    const grown = await repository.grow();
    const toServerMs = await timeFetch(server.client, project.id);
    later.push({ toServerMs, toWorkerMs: await checkOut(server, project.id, grown), push: await push?.(grown) });
  }
  const small = later.toSorted((a, b) => a.toWorkerMs - b.toWorkerMs)[Math.floor(GROWTHS / 2)];
  const byHand = (pushed: Pushed | undefined): number | null => (pushed ? pushed.pushMs + pushed.checkOutMs : null);
  const smallMs = (small?.toServerMs ?? Number.NaN) + (small?.toWorkerMs ?? Number.NaN);
  const firstMs = first.toServerMs + first.toWorkerMs;
  return {
    metrics: {
      files: repository.files,
      commits: repository.commits,
      worker: sshd ? 'over ssh' : 'local',
      firstToServerMs: first.toServerMs,
      firstToWorkerMs: first.toWorkerMs,
      commitToServerMs: small?.toServerMs ?? null,
      commitToWorkerMs: small?.toWorkerMs ?? null,
      unchangedToWorkerMs: noneMs,
      ratioFirst: ratio(firstMs, byHand(firstPush)),
      ratioCommit: ratio(smallMs, byHand(small?.push)),
      ratioUnchanged: ratio(noneMs, byHand(nonePush)),
    },
    baseline: {
      name: sshd ? 'git push over ssh to a bare repository, and a checkout there' : `nothing: ${noSshd}`,
      metrics: {
        firstPushMs: firstPush?.pushMs ?? null,
        firstCheckOutMs: firstPush?.checkOutMs ?? null,
        commitPushMs: small?.push?.pushMs ?? null,
        commitCheckOutMs: small?.push?.checkOutMs ?? null,
        unchangedPushMs: nonePush?.pushMs ?? null,
        unchangedCheckOutMs: nonePush?.checkOutMs ?? null,
      },
    },
    bars: [],
  };
}

async function timeFetch(client: Client, project: string): Promise<number> {
  const startMs = performance.now();
  await client.call('projects.fetch', { params: { project } });
  return performance.now() - startMs;
}

/** @returns how long the worker took until the files of the commit stood there */
async function checkOut(server: ServerProcess, project: string, commit: string): Promise<number> {
  const task = await runTask(server, { kind: 'shell', spec: { command: 'true', project, commit } });
  const { state, failure, attempts } = task;
  const prepareMs = attempts.at(-1)?.prepareMs;
  if (state !== 'completed' || prepareMs === undefined) throw new Error(`the checkout of ${commit} is ${state}: ${failure?.message}`);
  return prepareMs;
}

interface Pushed {
  pushMs: number;
  checkOutMs: number;
}

/** @returns what pushes a commit to a bare repository beyond ssh and checks it out there, in a working tree that stays */
async function openPush(folder: string, source: string, sshd: TestSshd): Promise<(commit: string) => Promise<Pushed>> {
  const [bare, tree] = [path.join(folder, 'pushed.git'), path.join(folder, 'pushed')];
  const target = `${sshd.user}@${sshd.host}`;
  const env = { ...process.env, GIT_SSH_COMMAND: ['ssh', ...sshOptions(sshd)].join(' ') };
  await mustRun('git', ['init', '-q', '--bare', '-b', 'main', bare]);
  let hasTree = false;
  return async (commit) => {
    const startMs = performance.now();
    await mustRun('git', ['-C', source, 'push', '-q', `ssh://${target}:${sshd.port}${bare}`, `${commit}:refs/heads/main`], { env });
    const pushedMs = performance.now();
    const command = hasTree
      ? `git -C ${tree} checkout -q --detach ${commit} && git -C ${tree} clean -qfdx`
      : `git -C ${bare} worktree add -q --detach ${tree} ${commit}`;
    await mustRun('ssh', [...sshOptions(sshd), target, command]);
    hasTree = true;
    return { pushMs: pushedMs - startMs, checkOutMs: performance.now() - pushedMs };
  };
}

function ratio(ours: number, theirs: number | null): number | null {
  return theirs === null ? null : ours / theirs;
}
