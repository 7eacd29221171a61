import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeControl, FrameDecoder, workerMessage } from '@helixcode/protocol/worker/frames';
import { PREAMBLE } from '@helixcode/protocol/worker/preamble';
import { expect, onTestFinished, test } from 'vitest';
import { sharedTmpFolder, socketPaths, workerHome } from '../src/home/worker-home.ts';
import { attempts, BUNDLE, givenWorker } from './support/given-worker.ts';
import { TestServer } from './support/test-server.ts';

test('a link with a lower epoch is refused, also after a restart; a higher one supersedes', async () => {
  const worker = givenWorker();
  const first = await worker.connect({ epoch: 5 });
  const second = await worker.connect({ epoch: 7, server: 'srv_2' });
  expect(await first.hears('superseded')).toMatchObject({ epoch: 7 });
  await first.untilClosed();
  await worker.killDaemon();

  const stale = await worker.connect({ epoch: 6 });
  expect(stale.heard).toMatchObject([{ t: 'refused', code: 'worker.stale_epoch' }]);
  const twin = await worker.connect({ epoch: 7, server: 'srv_3' });
  expect(twin.heard).toMatchObject([{ t: 'refused', code: 'worker.stale_epoch' }]);
  expect((await worker.connect({ epoch: 8 })).welcome.protocol).toBe(1);
  expect(second.isClosed).toBe(true);
});

test('what is not understood is ignored, what breaks the protocol ends the link with a fault', async () => {
  const worker = givenWorker();
  const server = await worker.connect();
  server.sendRaw(encodeControl({ t: 'from-the-future' } as never));
  server.send({ t: 'ping', at: 42 });
  expect(await server.hears('pong')).toMatchObject({ at: 42, load: { runningJobs: 0 } });
  server.sendRaw(encodeControl({ t: 'ping', at: 'noon' } as never));
  await server.untilClosed();
  expect(server.heard.at(-1)).toMatchObject({ t: 'fault', code: 'worker.protocol_violation' });

  for (const bytes of [encodeControl({ t: 'ping', at: 1 }), Uint8Array.from([0, 255, 255, 255, 0])]) {
    const rude = await TestServer.dial(join(worker.runFolder, 'w.sock'));
    rude.sendRaw(bytes);
    await rude.untilClosed();
    expect(rude.heard).toMatchObject([{ t: 'fault', code: 'worker.protocol_violation' }]);
  }
});

test('a server without a common protocol version is refused', async () => {
  const worker = givenWorker();
  await worker.connect();
  const other = await TestServer.dial(join(worker.runFolder, 'w.sock'));
  other.send({ t: 'hello', server: 'srv_1', epoch: 99, protocols: [2, 3] });
  await other.untilClosed();
  expect(other.heard).toMatchObject([{ t: 'refused' }]);
});

test('attach speaks the preamble and then frames, and passes on everything before it ends', async () => {
  const worker = givenWorker();
  const [one] = attempts();
  const server = await worker.connect();
  server.assign(one, { command: 'head -c 900000 /dev/zero' });
  await server.over(one);
  const attach = spawn(process.execPath, [BUNDLE, 'attach', '--ns', 'w'], { env: worker.environment });
  const chunks: Buffer[] = [];
  attach.stdout.on('data', (chunk) => chunks.push(chunk));
  attach.stdin.write(encodeControl({ t: 'hello', server: 'srv_1', epoch: 50, protocols: [1] }));
  attach.stdin.write(encodeControl({ t: 'open', ch: 2, attempt: one, stream: 'out', from: 0 }));
  attach.stdout.pause();
  await server.untilClosed();
  // Ends the session from the other side, while nobody reads our end of the pipe.
  await expect.poll(() => attach.stdout.readableLength).toBeGreaterThan(0);
  const newer = await worker.connect({ epoch: 51 });
  attach.stdout.resume();
  await new Promise((resolve) => attach.on('close', resolve));
  expect(newer.welcome.protocol).toBe(1);

  const all = Buffer.concat(chunks);
  expect(all.subarray(0, PREAMBLE.length).toString()).toBe(PREAMBLE);
  const frames = new FrameDecoder().push(all.subarray(PREAMBLE.length));
  const control = frames.flatMap((frame) => (frame.kind === 'control' ? workerMessage.parse(frame.control) : []));
  expect(control[0]).toMatchObject({ t: 'welcome', jobs: [{ attempt: one, state: 'exited' }] });
  expect(control.at(-1)).toMatchObject({ t: 'superseded', epoch: 51 });
});

test('ten attaches at once start one daemon', async () => {
  const worker = givenWorker();
  const attaches = Array.from({ length: 10 }, () => spawn(process.execPath, [BUNDLE, 'attach', '--ns', 'w'], { env: worker.environment }));
  await Promise.all(attaches.map((attach) => new Promise((resolve) => attach.stdout.once('data', resolve))));
  const daemons = readdirSync('/proc').filter((pid) => {
    try {
      return (
        /^\d+$/.test(pid) &&
        execFileSync('cat', [`/proc/${pid}/cmdline`], { encoding: 'latin1', stdio: ['ignore', 'pipe', 'ignore'] }).includes('\0daemon\0') &&
        execFileSync('cat', [`/proc/${pid}/environ`], { encoding: 'latin1', stdio: ['ignore', 'pipe', 'ignore'] }).includes(worker.home)
      );
    } catch {
      return false;
    }
  });
  for (const attach of attaches) attach.stdin.end();
  expect(daemons).toEqual([String(worker.daemonPid())]);
});

test('a home with a long path gets its socket in a private folder', async () => {
  const base = mkdtempSync(join(tmpdir(), 'helix-worker-test-'));
  onTestFinished(() => rmSync(base, { recursive: true, force: true }));
  const worker = givenWorker({ home: join(base, 'x'.repeat(100)) });
  const attach = spawn(process.execPath, [BUNDLE, 'attach', '--ns', 'w'], { env: worker.environment });
  attach.stdin.end(encodeControl({ t: 'hello', server: 'srv_1', epoch: 1, protocols: [1] }));
  let text = '';
  attach.stdout.on('data', (chunk) => (text += chunk));
  await new Promise((resolve) => attach.on('close', resolve));
  expect(text.startsWith(PREAMBLE)).toBe(true);
  const [path = ''] = socketPaths(workerHome('w', worker.environment));
  expect(path.startsWith(sharedTmpFolder())).toBe(true);
  expect(existsSync(path)).toBe(true);
});

test('shutdown ends the daemon and not its jobs', async () => {
  const worker = givenWorker();
  const [one] = attempts();
  const server = await worker.connect();
  server.assign(one, { command: 'sleep 0.5; exit 4' });
  await server.reported(one, (report) => report.state === 'running');
  server.send({ t: 'shutdown' });
  await server.untilClosed();
  const next = await worker.connect();
  expect(await next.over(one)).toMatchObject({ state: 'exited', exitCode: 4 });
});

test('the next daemon of a boot answers with the same facts at once', async () => {
  const worker = givenWorker({ findsFacts: true });
  const server = await worker.connect();
  const { facts } = await server.hears('facts');
  expect(facts.tools['git']).toMatch(/^\d+\.\d+/);
  await worker.killDaemon();
  const next = await worker.connect();
  expect(next.welcome.facts).toEqual(facts);
  expect(next.welcome.agent).toMatch(/^[0-9a-f]{16}$/);
});
