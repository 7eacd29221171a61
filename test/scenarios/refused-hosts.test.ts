import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freePort, givenSshd, noSshd, type TestSshd } from '../../packages/server/test/support/sshd.ts';
import { expectRefused } from '../support/expect-fault.ts';
import { runTask } from '../support/hand-in.ts';
import { helix } from '../support/helix.ts';
import { givenHome, removeServer, type ServerProcess, startServer } from '../support/server-process.ts';
import { eventOf, workersAreUp } from '../support/wait-for.ts';

/** What the errors themselves are is shown with the transport; this is what a person at a terminal comes to see. */
describe.skipIf(noSshd)('a host that is refused', () => {
  let server: ServerProcess;
  let sshd: TestSshd;
  beforeAll(async () => {
    [server, sshd] = await Promise.all([startServer(givenHome(), { HELIX_WORKERS_USER_SSH_CONFIG: 'false' }), givenSshd()]);
    await workersAreUp(server.client, 1);
  }, 60_000);
  afterAll(async () => {
    await removeServer(server);
    await sshd.remove();
  });

  /** Adds a worker that keeps its things in the server's folder, and waits for it as a person does. */
  const addHost = async (name: string, port: number) => {
    const { host, user, identityFile } = sshd;
    const folder = path.join(server.home, name);
    await server.client.call('workers.add', { body: { name, transport: 'ssh', host, port, user, identityFile, folder } });
    return helix(server.home, ['workers', 'reconnect', name]);
  };

  test('by an unknown key is told with its fingerprint, and the command it is told with takes it in [W9] [W1] [C2]', async () => {
    const run = await addHost('stranger', sshd.port);
    expectRefused(run, 'worker.host_key_unknown', [sshd.fingerprint, 'stranger']);
    expect(await server.client.call('workers.get', { params: { worker: 'stranger' } })).toMatchObject({
      state: 'blocked',
      hostKeys: [{ fingerprint: sshd.fingerprint, accepted: false }],
    });
    expect(await runTask(server, { kind: 'shell', spec: { command: 'true' } })).toMatchObject({
      state: 'completed',
      attempts: [{ workerName: 'local' }],
    });

    const next = /helix (workers accept-key \S+ SHA256:[^\s`]+)/.exec(run.error?.next ?? '')?.[1] ?? '';
    expect(await helix(server.home, next.split(' '))).toMatchObject({ exitCode: 0 });
    const greeted = await runTask(server, { kind: 'shell', worker: 'stranger', spec: { command: 'echo hello' } });
    expect(greeted).toMatchObject({ state: 'completed', attempts: [{ workerName: 'stranger' }] });
  }, 120_000);

  test('because nothing listens there is said to be out of reach, and what wants only that worker waits and says so [W1] [W5]', async () => {
    const port = await freePort();
    const run = await addHost('down', port);
    expectRefused(run, 'worker.unreachable', ['down']);
    const { id } = await server.client.call('tasks.submit', { body: { kind: 'shell', worker: 'down', spec: { command: 'true' } } });
    const { body } = await eventOf(server, `task:${id}`, (event) => event.body.type === 'task.waiting');
    expect(body).toMatchObject({ reason: expect.stringMatching(/down is (?:suspect|probing|connecting)/) });
    expect(await helix(server.home, ['tasks', 'cancel', id])).toMatchObject({ exitCode: 0 });
  });
});
