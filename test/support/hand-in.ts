import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Client } from '@helixcode/client/http-client';
import type { TaskDetail } from '@helixcode/protocol/api/views';
import type { TaskSubmissionInput } from '@helixcode/protocol/task/task-spec';
import { type ServerAddress, taskIsSettled } from './wait-for.ts';

const git = async (folder: string, ...args: string[]): Promise<string> =>
  (await promisify(execFile)('git', args, { cwd: folder })).stdout.trim();

/** Registers a repository under the name of its folder and hands in its HEAD as a whole bundle. */
export async function snapshotOf(client: Client, folder: string): Promise<{ project: string; commit: string }> {
  const project = await client.call('projects.add', { body: { name: path.basename(folder) } });
  return { project: project.id, commit: await sendHead(client, project.id, folder) };
}

/** Hands in the HEAD of a registered repository. */
export async function sendHead(client: Client, project: string, folder: string): Promise<string> {
  const commit = await git(folder, 'rev-parse', 'HEAD');
  const scratch = mkdtempSync(path.join(tmpdir(), 'helix-bundle-'));
  try {
    const bundle = path.join(scratch, 'bundle');
    await git(folder, 'bundle', 'create', '-q', bundle, 'HEAD');
    await client.call('projects.snapshot', { params: { project }, query: { commit }, body: new Uint8Array(await readFile(bundle)) });
  } finally {
    rmSync(scratch, { recursive: true });
  }
  return commit;
}

/** Hands in a task and waits for its end, whatever its outcome. */
export async function runTask(server: ServerAddress, submission: TaskSubmissionInput): Promise<TaskDetail> {
  const { id } = await server.client.call('tasks.submit', { body: submission });
  return taskIsSettled(server, id);
}

/** A whole stream of the newest attempt of a task, piece by piece. */
export async function* readStream(client: Client, task: string, stream = 'out'): AsyncGenerator<Buffer> {
  for (let from = 0; ; ) {
    const response = await client.call('tasks.output', { params: { task }, query: { stream, from, maxBytes: 4 * 1024 * 1024 } });
    const piece = Buffer.from(await response.arrayBuffer());
    yield piece;
    from += piece.length;
    if (response.headers.get('helix-over') === 'true') return;
    if (piece.length === 0) throw new Error(`${stream} of ${task} stops at byte ${from}, and is not over`);
  }
}

/** The same in one piece. */
export async function readText(client: Client, task: string, stream = 'out'): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of readStream(client, task, stream)) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}
