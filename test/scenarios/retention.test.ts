import type { GcReport } from '@helixcode/protocol/api/gc-report';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { expectRefused } from '../support/expect-fault.ts';
import { readText, runTask } from '../support/hand-in.ts';
import { helix } from '../support/helix.ts';
import { givenHome, removeServer, type ServerProcess, startServer } from '../support/server-process.ts';
import { outputReaches, workersAreUp } from '../support/wait-for.ts';

let server: ServerProcess;
beforeAll(async () => {
  server = await startServer(givenHome(), { HELIX_WORKERS_LOCAL_SLOTS: '2', HELIX_RETENTION_OUTPUT_DAYS: '0' });
  await workersAreUp(server.client, 1);
}, 60_000);
afterAll(() => removeServer(server));

async function gc(...args: string[]): Promise<GcReport> {
  const { exitCode, stdout } = await helix(server.home, ['gc', ...args]);
  expect(exitCode).toBe(0);
  return JSON.parse(stdout) as GcReport;
}

test('helix gc says beforehand what it removes, removes just that, and who asks for it later is told [T7]', async () => {
  const over = await runTask(server, { kind: 'shell', spec: { command: 'echo over' } });
  const running = await server.client.call('tasks.submit', { body: { kind: 'shell', spec: { command: 'echo at work; exec sleep 600' } } });
  await outputReaches(server.client, running.id, 8);

  const promised = await gc('--dry-run');
  expect(promised.items).toContainEqual({ kind: 'output', count: 1, bytes: 5, oldest: over.finishedAt });
  expect(promised.items).toContainEqual({ kind: 'worktrees', worker: 'local', count: 0, bytes: 0 });
  expect(await readText(server.client, over.id)).toBe('over\n');

  expect(await gc()).toEqual({ ...promised, dryRun: false });
  expectRefused(await helix(server.home, ['tasks', 'logs', over.id]), 'output.removed', ['attempt 1', 'echo over']);
  const response = await server.client.call('tasks.output', { params: { task: running.id } });
  expect(await response.text()).toBe('at work\n');
}, 60_000);
