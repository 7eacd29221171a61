import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { givenWorkerTest, sshWorker, type WorkerTest, whyBlocked } from '../support/ssh-workers.ts';
import { givenSshd, noSshd, type TestSshd } from '../support/sshd.ts';
import { givenAccount, noAccounts, type TestAccount } from '../support/test-account.ts';

// An installation writes 100 MB: on a machine that is busy with other things it takes its time.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

const BUSYBOX = ['/usr/bin/busybox', '/bin/busybox'].find((path) => existsSync(path));
const noBusybox = !BUSYBOX || !execFileSync('file', ['-L', BUSYBOX], { encoding: 'utf8' }).includes('statically linked');

describe.skipIf(noSshd ?? noAccounts)('a bare host', () => {
  let given: WorkerTest;
  let root: string;
  const accounts: TestAccount[] = [];
  const sshds: TestSshd[] = [];

  beforeAll(async () => {
    given = await givenWorkerTest();
    // Every folder above a chroot must belong to root alone, which /tmp does not.
    root = mkdtempSync('/var/lib/helix-test-');
    chmodSync(root, 0o755);
  });
  afterAll(async () => {
    await given.end();
    rmSync(root, { recursive: true, force: true });
  });
  afterEach(async () => {
    await given.clean();
    for (const sshd of sshds.splice(0)) await sshd.remove();
    for (const account of accounts.splice(0)) account.remove();
  });

  async function expectWorks(sshd: TestSshd, account: TestAccount): Promise<void> {
    const { folder: _, ...request } = sshWorker(sshd, given.folder, { user: account.name });
    const worker = await given.registry.add(request);
    await given.registry.whenState(worker, 'up');

    const attempt = given.run(worker, 'echo "$((6 * 7))"; echo no >&2; exit 9');
    expect(await given.book.whenComplete(attempt)).toMatchObject({ state: 'exited', exitCode: 9 });
    expect(given.book.outputOf(attempt).toString()).toBe('42\n');

    const registry = await given.restart();
    const again = registry.find(worker.row.id);
    await registry.whenState(again, 'up');
    expect(await registry.remove(again, false)).toBe(true);
  }

  test('an account with PATH=/nonexistent becomes a worker [W3]', async () => {
    const account = givenAccount();
    accounts.push(account);
    const sshd = await givenSshd({ matches: [`Match User ${account.name}`, '  SetEnv PATH=/nonexistent'] });
    sshds.push(sshd);
    await expectWorks(sshd, account);

    expect(existsSync(join(account.home, '.helix-worker'))).toBe(false);
  });

  test.skipIf(noBusybox)('a chroot with a static busybox, no C library and no Node becomes a worker', async () => {
    const jail = givenJail('plain');
    for (const applet of execFileSync(BUSYBOX ?? '', ['--list'], { encoding: 'utf8' })
      .trim()
      .split('\n'))
      if (applet !== 'busybox') symlinkSync('busybox', join(jail.path, 'bin', applet));
    await expectWorks(await givenJailedSshd(jail), jail.account);
  });

  test.skipIf(noBusybox)('so does one in which only sh and busybox have a name', async () => {
    const jail = givenJail('two-names');
    symlinkSync('busybox', join(jail.path, 'bin', 'sh'));
    await expectWorks(await givenJailedSshd(jail), jail.account);
  });

  test.skipIf(noBusybox)('a host where no folder may hold programs says so', async () => {
    const jail = givenJail('noexec');
    for (const applet of execFileSync(BUSYBOX ?? '', ['--list'], { encoding: 'utf8' })
      .trim()
      .split('\n'))
      if (applet !== 'busybox') symlinkSync('busybox', join(jail.path, 'bin', applet));
    const mounts = `mount -t tmpfs -o noexec,mode=0755,uid=${jail.account.uid} tmpfs ${jail.path}${jail.account.home}`;
    const sshd = await givenJailedSshd(jail, mounts);
    const { folder: _, ...request } = sshWorker(sshd, given.folder, { user: jail.account.name });

    expect(await whyBlocked(given.registry, await given.registry.add(request))).toMatchObject({
      code: 'worker.bootstrap_failed',
      message: expect.stringMatching(/noexec|could be made/),
      next: expect.stringContaining('--folder'),
    });
  });

  test.skipIf(noBusybox)('a host without room says how much there is and how much is needed', async () => {
    const jail = givenJail('full');
    for (const applet of execFileSync(BUSYBOX ?? '', ['--list'], { encoding: 'utf8' })
      .trim()
      .split('\n'))
      if (applet !== 'busybox') symlinkSync('busybox', join(jail.path, 'bin', applet));
    const mounts = `mount -t tmpfs -o size=40m,mode=0755,uid=${jail.account.uid} tmpfs ${jail.path}${jail.account.home}`;
    const sshd = await givenJailedSshd(jail, mounts);
    const { folder: _, ...request } = sshWorker(sshd, given.folder, { user: jail.account.name });

    expect(await whyBlocked(given.registry, await given.registry.add(request))).toMatchObject({
      code: 'worker.disk_full',
      message: expect.stringMatching(/has 4[01] MB free, the worker needs 1\d\d MB/),
    });
  });

  interface Jail {
    path: string;
    account: TestAccount;
  }

  function givenJail(name: string): Jail {
    const path = join(root, name);
    const account = givenAccount({ home: `/home/${name}` });
    accounts.push(account);
    for (const folder of ['bin', 'dev', 'proc', 'home', `home/${name}`, 'var/tmp', 'tmp'])
      mkdirSync(join(path, folder), { recursive: true });
    chmodSync(join(path, 'var/tmp'), 0o755);
    chmodSync(join(path, 'tmp'), 0o1777);
    execFileSync('chown', [`${account.uid}`, join(path, 'home', name)]);
    copyFileSync(BUSYBOX ?? '', join(path, 'bin', 'busybox'));
    chmodSync(join(path, 'bin', 'busybox'), 0o755);
    writeFileSync(join(path, 'README'), 'nothing else is here\n');
    expect(statSync(path).uid).toBe(0);
    return { path, account };
  }

  async function givenJailedSshd({ path, account }: Jail, mounts = ''): Promise<TestSshd> {
    const sshd = await givenSshd({
      matches: [`Match User ${account.name}`, `  ChrootDirectory ${path}`, '  SetEnv PATH=/nonexistent'],
      mounts: `mount -t proc proc ${path}/proc\nmount --rbind /dev ${path}/dev\n${mounts}`,
    });
    sshds.push(sshd);
    return sshd;
  }
});
