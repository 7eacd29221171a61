import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { givenJail, givenJailedSshd, givenJailYard, type Jail, noBusybox } from '../support/bare-host.ts';
import { givenWorkerTest, sshWorker, type WorkerTest, whyBlocked } from '../support/ssh-workers.ts';
import { givenSshd, noSshd, type TestSshd } from '../support/sshd.ts';
import { givenAccount, noAccounts, type TestAccount } from '../support/test-account.ts';

// An installation writes 100 MB: on a machine that is busy with other things it takes its time.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

describe.skipIf(noSshd ?? noAccounts)('a bare host', () => {
  let given: WorkerTest;
  let yard: ReturnType<typeof givenJailYard>;
  const accounts: TestAccount[] = [];
  const sshds: TestSshd[] = [];

  beforeAll(async () => {
    given = await givenWorkerTest();
    yard = givenJailYard();
  });
  afterAll(async () => {
    await given.end();
    yard.remove();
  });
  afterEach(async () => {
    await given.clean();
    for (const sshd of sshds.splice(0)) await sshd.remove();
    for (const account of accounts.splice(0)) account.remove();
  });

  function jailed(name: string, names?: 'sh'): Jail {
    const jail = givenJail(yard.path, name, names);
    accounts.push(jail.account);
    return jail;
  }

  async function sshdOf(jail: Jail, mounts?: string): Promise<TestSshd> {
    const sshd = await givenJailedSshd(jail, mounts);
    sshds.push(sshd);
    return sshd;
  }

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
    const jail = jailed('plain');
    await expectWorks(await sshdOf(jail), jail.account);
  });

  test.skipIf(noBusybox)('so does one in which only sh and busybox have a name', async () => {
    const jail = jailed('two-names', 'sh');
    await expectWorks(await sshdOf(jail), jail.account);
  });

  test.skipIf(noBusybox)('a host where no folder may hold programs says so', async () => {
    const jail = jailed('noexec');
    const mounts = `mount -t tmpfs -o noexec,mode=0755,uid=${jail.account.uid} tmpfs ${jail.path}${jail.account.home}`;
    const sshd = await sshdOf(jail, mounts);
    const { folder: _, ...request } = sshWorker(sshd, given.folder, { user: jail.account.name });

    expect(await whyBlocked(given.registry, await given.registry.add(request))).toMatchObject({
      code: 'worker.bootstrap_failed',
      message: expect.stringMatching(/noexec|could be made/),
      next: expect.stringContaining('--folder'),
    });
  });

  test.skipIf(noBusybox)('a host without room says how much there is and how much is needed', async () => {
    const jail = jailed('full');
    const mounts = `mount -t tmpfs -o size=40m,mode=0755,uid=${jail.account.uid} tmpfs ${jail.path}${jail.account.home}`;
    const sshd = await sshdOf(jail, mounts);
    const { folder: _, ...request } = sshWorker(sshd, given.folder, { user: jail.account.name });

    expect(await whyBlocked(given.registry, await given.registry.add(request))).toMatchObject({
      code: 'worker.disk_full',
      message: expect.stringMatching(/has 4[01] MB free, the worker needs 1\d\d MB/),
    });
  });
});
