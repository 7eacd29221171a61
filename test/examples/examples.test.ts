import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { givenHome, removeServer, type ServerProcess, startServer } from '../support/server-process.ts';

const EXAMPLES = path.resolve(import.meta.dirname, '../../examples');
let server: ServerProcess;

beforeAll(async () => {
  server = await startServer(givenHome());
}, 60_000);
afterAll(async () => {
  await removeServer(server);
}, 60_000);

test('the example submits a command, follows it to its end and prints its output [C1]', async () => {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [path.join(EXAMPLES, 'submit-and-follow.ts'), 'echo $((6 * 7))'], {
    env: { ...process.env, HELIX_SERVER: server.url, HELIX_TOKEN: server.token },
  });
  expect(stdout).toBe('42\n');
  expect(stderr).toContain('task.moved completed');
});
