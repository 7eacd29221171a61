import { execFileSync, spawn } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { givenWorkerTest, sshWorker, type WorkerTest, whyBlocked } from '../support/ssh-workers.ts';
import { freePort, givenSshd, noSshd, type TestSshd } from '../support/sshd.ts';
import { givenAccount, noAccounts, type TestAccount } from '../support/test-account.ts';

// An installation writes 100 MB: on a machine that is busy with other things it takes its time.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

describe.skipIf(noSshd)('a worker behind a real sshd', () => {
  let given: WorkerTest;
  let sshd: TestSshd;

  beforeAll(async () => {
    [given, sshd] = await Promise.all([givenWorkerTest(), givenSshd({ config: ['PasswordAuthentication yes', 'MaxAuthTries 6'] })]);
  });
  afterAll(async () => {
    await given.end();
    await sshd.remove();
  });
  afterEach(() => given.clean());

  test('becomes a worker with nothing but an account, runs a job, comes back at once, and leaves nothing behind [W1] [W3]', async () => {
    const request = sshWorker(sshd, given.folder, { folder: join(given.folder, 'own') });
    const worker = await given.registry.add(request);
    await given.registry.whenState(worker, 'up');
    const attempt = given.run(worker, 'echo "on $(uname)"; echo oops >&2; exit 3');

    expect(await given.book.whenComplete(attempt)).toMatchObject({ state: 'exited', exitCode: 3 });
    expect(given.book.outputOf(attempt).toString()).toBe('on Linux\n');
    expect(given.book.outputOf(attempt, 'err').toString()).toBe('oops\n');
    expect(worker.row.facts).toMatchObject({ os: 'linux', hostname: expect.any(String) });

    const registry = await given.restart();
    const again = registry.find(worker.row.id);
    await registry.whenState(again, 'up');
    expect(await registry.remove(again, false)).toBe(true);
    expect(existsSync(request.folder ?? '')).toBe(false);
  });

  test('two workers in one folder share what is installed, and removing one leaves the other at work', async () => {
    const folder = join(given.folder, 'shared home');
    const [first, second] = await Promise.all([0, 1].map(() => given.registry.add(sshWorker(sshd, given.folder, { folder }))));
    if (!first || !second) throw new Error('no workers');
    await Promise.all([first, second].map((worker) => given.registry.whenState(worker, 'up')));
    await given.registry.remove(first, false);

    expect(await given.book.whenComplete(given.run(second, 'exit 4'))).toMatchObject({ exitCode: 4 });
  });

  test('an unknown host key is shown and not trusted, until a person accepts exactly that one [W9]', async () => {
    const { knownHostsFile: _, ...request } = sshWorker(sshd, given.folder);
    const worker = await given.registry.add(request);

    expect(await whyBlocked(given.registry, worker)).toMatchObject({
      code: 'worker.host_key_unknown',
      message: expect.stringContaining(sshd.fingerprint),
      next: expect.stringContaining(`helix workers accept-key ${request.name} ${sshd.fingerprint}`),
    });
    expect(worker.hostKeys).toMatchObject([{ fingerprint: sshd.fingerprint, accepted_at: null }]);
    await expect(given.registry.acceptKey(worker, 'SHA256:another')).rejects.toMatchObject({ code: 'worker.host_key_unknown' });
    await given.registry.acceptKey(worker, sshd.fingerprint);
    await given.registry.whenState(worker, 'up');
  });

  test('a key that was checked beforehand is accepted by its fingerprint, another one is not', async () => {
    const { knownHostsFile: _, ...request } = sshWorker(sshd, given.folder, { acceptFingerprint: sshd.fingerprint });
    await given.registry.whenState(await given.registry.add(request), 'up');
    const { knownHostsFile: __, ...other } = sshWorker(sshd, given.folder, { acceptFingerprint: 'SHA256:somethingElse' });

    expect(await whyBlocked(given.registry, await given.registry.add(other))).toMatchObject({
      code: 'worker.host_key_unknown',
      message: expect.stringContaining('not the SHA256:somethingElse'),
    });
  });

  test('a changed host key and a revoked one end in their own errors, and a machine set up anew can be accepted [W9]', async () => {
    const own = await givenSshd();
    try {
      const oldKey = own.fingerprint;
      const { knownHostsFile: _, ...request } = sshWorker(own, given.folder, { acceptFingerprint: oldKey });
      const worker = await given.registry.add(request);
      await given.registry.whenState(worker, 'up');
      own.changeHostKey();
      await own.stop();
      await own.start();
      await given.registry.remove(worker, true);
      const changed = await given.registry.add({ ...request });
      await whyBlocked(given.registry, changed);
      await given.registry.acceptKey(changed, own.fingerprint);
      await given.registry.whenState(changed, 'up');

      own.changeHostKey();
      await own.stop();
      await own.start();
      await given.restart();
      const again = given.registry.find(changed.row.id);
      expect(await whyBlocked(given.registry, again)).toMatchObject({
        code: 'worker.host_key_changed',
        message: expect.stringContaining(own.fingerprint),
      });
      await given.registry.acceptKey(again, own.fingerprint);
      await given.registry.whenState(again, 'up');

      await given.registry.revokeKey(again, own.fingerprint);
      expect(await whyBlocked(given.registry, again)).toMatchObject({ code: 'worker.host_key_revoked' });
      await expect(given.registry.acceptKey(again, own.fingerprint)).rejects.toMatchObject({ code: 'worker.host_key_revoked' });
    } finally {
      await own.remove();
    }
  });

  test('a key the machine does not know is refused with the ways that it takes', async () => {
    const identityFile = join(given.folder, 'stranger');
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', identityFile]);
    const worker = await given.registry.add(sshWorker(sshd, given.folder, { identityFile }));

    expect(await whyBlocked(given.registry, worker)).toMatchObject({
      code: 'worker.auth_refused',
      message: expect.stringContaining('publickey'),
    });
  });

  test('a host that is down, and a name nobody knows, are said to be out of reach and are dialled again by themselves', async () => {
    const port = await freePort();
    const down = await given.registry.add(sshWorker(sshd, given.folder, { port }));
    const unknown = await given.registry.add(sshWorker(sshd, given.folder, { host: 'nowhere.invalid' }));
    await Promise.all([down, unknown].map((worker) => given.registry.whenState(worker, 'suspect')));

    expect(down.row.reason).toMatchObject({
      code: 'worker.unreachable',
      message: expect.stringContaining(`port ${port}: Connection refused`),
    });
    expect(unknown.row.reason).toMatchObject({ code: 'worker.unreachable', message: expect.stringContaining('nowhere.invalid') });
  });

  test('a folder that holds something else is left alone', async () => {
    const folder = join(given.folder, 'precious');
    mkdirSync(folder);
    writeFileSync(join(folder, 'thesis.txt'), 'do not touch');
    const worker = await given.registry.add(sshWorker(sshd, given.folder, { folder }));

    expect(await whyBlocked(given.registry, worker)).toMatchObject({
      code: 'worker.bootstrap_failed',
      message: expect.stringContaining('not a worker'),
    });
    await given.registry.remove(worker, true);
    expect(readFileSync(join(folder, 'thesis.txt'), 'utf8')).toBe('do not touch');
  });

  test('what would be an option or a pattern to ssh is not taken for a host', async () => {
    for (const host of ['-oProxyCommand=touch /tmp/pwned', 'a b', '*', 'x;y'])
      expect(await whyBlocked(given.registry, await given.registry.add(sshWorker(sshd, given.folder, { host })))).toMatchObject({
        code: 'config.invalid',
      });
  });

  test('an sshd that takes few sign-ins at once gets its workers one after the other', async () => {
    const busy = await givenSshd({ config: ['MaxStartups 1:100:1'] });
    try {
      const workers = await Promise.all(Array.from({ length: 5 }, () => given.registry.add(sshWorker(busy, given.folder))));
      await Promise.all(workers.map((worker) => given.registry.whenState(worker, 'up')));
      await given.clean();
    } finally {
      await busy.remove();
    }
  });

  test('what is older than the two newest parts is deleted, unless it runs', async () => {
    const request = sshWorker(sshd, given.folder, { folder: join(given.folder, 'old') });
    const worker = await given.registry.add(request);
    await given.registry.whenState(worker, 'up');
    const store = join(request.folder ?? '', 'store');
    const running = readdirSync(store);
    for (const [index, key] of ['ag-0000000000000001', 'ag-0000000000000002', 'ag-0000000000000003'].entries()) {
      mkdirSync(join(store, key));
      utimesSync(join(store, key), 1e9 + index, 1e9 + index);
    }
    for (const key of running) utimesSync(join(store, key), 1, 1);
    rmSync(join(request.folder ?? '', 'bin'), { recursive: true });

    await given.restart();
    await given.registry.whenState(given.registry.find(worker.row.id), 'up');

    expect(readdirSync(store).sort()).toEqual([...running, 'ag-0000000000000002', 'ag-0000000000000003'].sort());
  });

  test('a machine of another kind is refused by name, and a step that fails there is named with what the machine said [W8]', async () => {
    const tools = join(given.folder, 'strange tools');
    mkdirSync(tools);
    const tool = (name: string, script: string): void => writeFileSync(join(tools, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    const strange = await givenSshd({ config: [`SetEnv "PATH=${tools}"`] });
    try {
      const onStrange = (): ReturnType<typeof sshWorker> =>
        sshWorker(strange, given.folder, { folder: join(given.folder, 'strange home') });
      tool('uname', '[ "$1" = -s ] && echo Darwin || echo arm64');
      expect(await whyBlocked(given.registry, await given.registry.add(onStrange()))).toMatchObject({
        code: 'worker.platform_unsupported',
        message: expect.stringMatching(/darwin-arm64.*linux-/),
      });
      rmSync(join(tools, 'uname'));
      tool('gzip', 'echo "gzip: out of luck" >&2; exit 1');
      expect(await whyBlocked(given.registry, await given.registry.add(onStrange()))).toMatchObject({
        code: 'worker.bootstrap_failed',
        message: expect.stringMatching(/could not unpack rt-[0-9a-f]{16}: what was sent did not arrive whole/),
        details: { step: expect.stringContaining('unpack'), ssh: expect.stringContaining('out of luck') },
      });
      expect(readdirSync(join(given.folder, 'strange home', 'store'))).toEqual([]);
      await given.clean();
    } finally {
      await strange.remove();
    }
  });

  test('a key held by an agent is used without its file', async () => {
    const socket = join(given.folder, 'agent.sock');
    const agent = spawn('ssh-agent', ['-D', '-a', socket], { stdio: 'ignore' });
    const before = process.env['SSH_AUTH_SOCK'];
    try {
      await expect.poll(() => existsSync(socket)).toBe(true);
      process.env['SSH_AUTH_SOCK'] = socket;
      execFileSync('ssh-add', ['-q', sshd.identityFile], { env: process.env });
      const { identityFile: _, ...request } = sshWorker(sshd, given.folder);
      await given.registry.whenState(await given.registry.add(request), 'up');
    } finally {
      if (before === undefined) delete process.env['SSH_AUTH_SOCK'];
      else process.env['SSH_AUTH_SOCK'] = before;
      await given.clean();
      agent.kill();
    }
  });

  describe.skipIf(noAccounts)('with accounts of its own', () => {
    const accounts: TestAccount[] = [];
    const account = (options: Parameters<typeof givenAccount>[0]): TestAccount => {
      const made = givenAccount(options);
      accounts.push(made);
      return made;
    };
    afterEach(async () => {
      await given.clean();
      for (const made of accounts.splice(0)) made.remove();
    });

    test('a password signs in, without being in any process list; a wrong one is refused, and a right one mends it', async () => {
      const { name: user } = account({ password: 'pass\'w"ord 1' });
      const { identityFile: _, folder: __, ...request } = sshWorker(sshd, given.folder, { user, password: 'wrong' });
      const worker = await given.registry.add(request);
      expect(await whyBlocked(given.registry, worker)).toMatchObject({
        code: 'worker.auth_refused',
        next: expect.stringContaining('helix workers reconnect'),
      });
      await given.registry.reconnect(worker, 'pass\'w"ord 1');
      await given.registry.whenState(worker, 'up');

      const { rows } = await given.database.db.query<{ sealed: Buffer }>('select sealed from secrets', []);
      expect(rows).toHaveLength(1);
      expect(rows[0]?.sealed.includes('ord 1')).toBe(false);
      expect(await given.book.whenComplete(given.run(worker, 'exit 5'))).toMatchObject({ exitCode: 5 });
    });

    test('an account without a shell is named as that', async () => {
      const { name: user } = account({ shell: '/usr/sbin/nologin' });
      const { folder: _, ...request } = sshWorker(sshd, given.folder, { user });

      expect(await whyBlocked(given.registry, await given.registry.add(request))).toMatchObject({
        code: 'worker.no_shell',
        message: expect.stringContaining('This account is currently not available'),
      });
    });

    test('a login shell that talks, and changes the way things are read, does not matter', async () => {
      const { name: user, home } = account({ shell: '/bin/bash' });
      appendFileSync(join(home, '.bashrc'), 'echo welcome; printf "%s" "<<helix-probe/1>>"; export IFS=x; cd /; alias mkdir=false\n');
      const { folder: _, ...request } = sshWorker(sshd, given.folder, { user });
      await given.registry.whenState(await given.registry.add(request), 'up');
    });
  });
});

describe.skipIf(noSshd)('with the configuration of the person who runs the server', () => {
  test.skipIf(noAccounts)('a worker is reached by a name of ~/.ssh/config through a jump host, whose key is checked too', async () => {
    const sshFolder = join('/root', '.ssh');
    const hadFolder = existsSync(sshFolder);
    const configFile = join(sshFolder, 'config');
    const knownFile = join(sshFolder, 'known_hosts');
    if (existsSync(configFile) || existsSync(knownFile)) return;
    const [given, jump, target] = await Promise.all([givenWorkerTest({ userSshConfig: true }), givenSshd(), givenSshd()]);
    try {
      mkdirSync(sshFolder, { recursive: true, mode: 0o700 });
      writeFileSync(
        configFile,
        [
          'Host far-box',
          '  HostName 127.0.0.1',
          `  Port ${target.port}`,
          '  ProxyJump gate',
          `  IdentityFile ${target.identityFile}`,
          'Host gate',
          '  HostName 127.0.0.1',
          `  Port ${jump.port}`,
          `  IdentityFile ${jump.identityFile}`,
          '  IdentitiesOnly yes',
          'Host *',
          '  RemoteCommand echo surprise',
          '  RequestTTY force',
          '  ControlMaster auto',
          `  ControlPath ${sshFolder}/mux-%C`,
          '',
        ].join('\n'),
      );
      writeFileSync(knownFile, readFileSync(target.knownHostsFile));
      const request = { name: 'far', transport: 'ssh' as const, labels: [], host: 'far-box', folder: join(given.folder, 'far') };
      const worker = await given.registry.add(request);
      // The gate's own key is not known yet.
      await given.registry.whenState(worker, 'blocked', 'suspect');
      expect(worker.row.reason).toMatchObject({ code: 'worker.host_key_unknown' });
      appendFileSync(knownFile, readFileSync(jump.knownHostsFile));
      await given.registry.reconnect(worker, undefined);
      await given.registry.whenState(worker, 'up');

      expect(jump.log()).toContain('Accepted publickey');
      expect(worker.hostKeys).toMatchObject([{ fingerprint: target.fingerprint, accepted_at: expect.any(Date) }]);
    } finally {
      await given.clean();
      await given.end();
      await jump.remove();
      await target.remove();
      for (const file of [configFile, knownFile]) rmSync(file, { force: true });
      if (!hadFolder) rmSync(sshFolder, { recursive: true, force: true });
    }
  });
});
