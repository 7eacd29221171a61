import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type AttemptId, newId } from '@helixcode/protocol/ids';
import type { WorkerServices } from '@helixcode/server/workers/job-book';
import { openWorkspace, type RemoteWorkspace } from '@helixcode/server/workers/remote-workspace';
import type { WorkerPool } from '@helixcode/server/workers/worker-pool';
import type { WorkerSupervisor } from '@helixcode/server/workers/worker-supervisor';
import type { MemoryBook } from './memory-book.ts';
import { noServices } from './worker-registry.ts';

const READY = 'ready\n';

/** A repository with one commit, and services that give it out as the code of any project. */
export function givenCode(folder: string): { commit: string; services: WorkerServices } {
  const repository = join(folder, 'code');
  const git = (...args: string[]): string =>
    execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.com', ...args], { cwd: repository, encoding: 'utf8' }).trim();
  mkdirSync(repository);
  git('init', '--quiet');
  git('commit', '--quiet', '--allow-empty', '--message', 'nothing yet');
  return {
    commit: git('rev-parse', 'HEAD'),
    services: {
      ...noServices,
      async openUploadPack() {
        const child = spawn('git', ['-c', 'uploadpack.allowAnySHA1InWant=true', 'upload-pack', repository], {
          stdio: ['pipe', 'pipe', 'ignore'],
        });
        child.stdin.on('error', () => {});
        return { input: child.stdin, output: child.stdout, close: () => void child.kill() };
      },
    },
  };
}

/** A job that holds a checkout and does nothing with it. */
export interface GivenSeat {
  attempt: AttemptId;
  workspace: RemoteWorkspace;
}

/** Seats a job in a checkout with these files, and opens it. */
export async function givenSeat(
  { pool, book, worker, commit }: { pool: WorkerPool; book: MemoryBook; worker: WorkerSupervisor; commit: string },
  files: Record<string, string | Uint8Array> = {},
): Promise<GivenSeat> {
  const attempt = newId('attempt');
  const spec = {
    command: `printf '${READY}'; exec sleep 2147483647`,
    env: { OF_THE_SEAT: 'yes' },
    workspace: { project: 'prj_1', commit },
    killGraceMs: 200,
    outputLimitBytes: 1e9,
  };
  book.want(worker.row.id, attempt, spec);
  pool.assign(worker.row.id, attempt, spec, {});
  await book.whenStored(attempt, READY.length);
  const workspace = await openWorkspace(pool, { worker: worker.row.id, attempt });
  for (const [name, content] of Object.entries(files)) {
    const path = join(workspace.root, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
  }
  return { attempt, workspace };
}
