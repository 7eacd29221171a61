import { mkdtempSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Client } from '@helixcode/client/http-client';
import { createLiveClient } from '@helixcode/client/live-client';
import { SETTLED_TASK_STATES } from '@helixcode/protocol/task/task-state';
import { mustRun } from '../demo/command.ts';

/** Waits until so many workers are up. */
export async function workersAreUp(client: Client, count: number): Promise<void> {
  for (;;) {
    const { items } = await client.call('workers.list');
    const blocked = items.find((worker) => worker.state === 'blocked');
    if (blocked) throw new Error(`${blocked.name} is blocked: ${blocked.reason?.message}`);
    if (items.filter((worker) => worker.state === 'up').length >= count) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Waits until a task is over, whatever its outcome. */
export async function taskIsSettled(server: { url: string; token: string }, task: string): Promise<void> {
  const live = createLiveClient({ baseUrl: server.url, token: server.token });
  try {
    for await (const event of live.subscribe({ topic: `task:${task}`, after: 0 })) {
      if (event.task === task && event.body.type === 'task.moved' && SETTLED_TASK_STATES.includes(event.body.to)) return;
    }
  } finally {
    live.close();
  }
}

/** Registers a repository and hands in its HEAD as a whole bundle. */
export async function snapshotOf(client: Client, folder: string): Promise<{ project: string; commit: string }> {
  const project = await client.call('projects.add', { body: { name: path.basename(folder) } });
  const commit = (await mustRun('git', ['rev-parse', 'HEAD'], { cwd: folder })).trim();
  const scratch = mkdtempSync(path.join(tmpdir(), 'helix-bundle-'));
  const bundle = path.join(scratch, 'bundle');
  await mustRun('git', ['bundle', 'create', '-q', bundle, 'HEAD'], { cwd: folder });
  await client.call('projects.snapshot', { params: { project: project.id }, query: { commit }, body: new Uint8Array(await readFile(bundle)) });
  rmSync(scratch, { recursive: true });
  return { project: project.id, commit };
}
