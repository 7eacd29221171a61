import { statSync } from 'node:fs';
import path from 'node:path';
import { givenJail, givenJailedSshd, givenJailYard, noBusybox } from '../../packages/server/test/support/bare-host.ts';
import { givenSshd, noSshd, type TestSshd } from '../../packages/server/test/support/sshd.ts';
import { givenAccount, noAccounts, type TestAccount } from '../../packages/server/test/support/test-account.ts';
import { mustRun } from '../demo/command.ts';
import { benchServer } from './bench-server.ts';
import { atMost, type Measurement } from './measurement.ts';
import { sshOptions } from './ssh-options.ts';

const HELIX = path.resolve(import.meta.dirname, '../../packages/cli/bin/helix.js');
const COLD_MS = 15_000;
const WARM_MS = 3_000;

/**
 * How long `helix workers add` takes until the worker is up, on hosts with nothing: an account whose PATH leads nowhere and
 * a chroot with only a static busybox. Cold: nothing of ours is there. Warm: what a worker needs lies there already. Beside
 * it, the program that a worker needs (a whole Node) sent through ssh.
 */
export async function measure(cleanUp: AsyncDisposableStack): Promise<Measurement> {
  const cannot = noSshd ?? noAccounts ?? noBusybox;
  if (cannot) throw new Error(cannot);
  const server = await benchServer(cleanUp, { HELIX_WORKERS_LOCAL: 'false', HELIX_WORKERS_USER_SSH_CONFIG: 'false' });
  const hosts = { pathless: await givenPathless(cleanUp), busybox: await givenBusybox(cleanUp) };
  const timeAdd = async (name: string, { sshd, account }: Host): Promise<number> => {
    const startMs = performance.now();
    const address = `${account.name}@${sshd.host}:${sshd.port}`;
    const how = ['--name', name, '--identity', sshd.identityFile, '--accept-fingerprint', sshd.fingerprint];
    await mustRun(process.execPath, [HELIX, 'workers', 'add', address, ...how], { env: { ...process.env, HELIX_HOME: server.home } });
    return performance.now() - startMs;
  };
  const timesMs: Record<string, number> = {};
  for (const [name, host] of Object.entries(hosts)) {
    timesMs[`${name}ColdMs`] = await timeAdd(`${name}-1`, host);
    timesMs[`${name}WarmMs`] = await timeAdd(`${name}-2`, host);
  }
  // The workers go before their hosts do: what they run would outlive the accounts.
  for (const worker of (await server.client.call('workers.list')).items)
    await server.client.call('workers.remove', { params: { worker: worker.id }, query: { force: true } });
  const copyMs = await timeCopy(hosts.pathless);
  return {
    metrics: { ...timesMs, ratioColdToCopy: (timesMs['pathlessColdMs'] ?? Number.NaN) / copyMs },
    baseline: { name: 'cat node over ssh', metrics: { copyMs, copyBytes: statSync(process.execPath).size } },
    bars: Object.entries(timesMs).map(([name, ms]) => atMost(name, ms, name.endsWith('ColdMs') ? COLD_MS : WARM_MS)),
  };
}

interface Host {
  sshd: TestSshd;
  account: TestAccount;
}

async function givenPathless(cleanUp: AsyncDisposableStack): Promise<Host> {
  const account = givenAccount();
  cleanUp.defer(() => account.remove());
  const sshd = await givenSshd({ matches: [`Match User ${account.name}`, '  SetEnv PATH=/nonexistent'] });
  cleanUp.defer(() => sshd.remove());
  return { sshd, account };
}

async function givenBusybox(cleanUp: AsyncDisposableStack): Promise<Host> {
  const yard = givenJailYard();
  cleanUp.defer(() => yard.remove());
  const jail = givenJail(yard.path, 'bare');
  cleanUp.defer(() => jail.account.remove());
  const sshd = await givenJailedSshd(jail);
  cleanUp.defer(() => sshd.remove());
  return { sshd, account: jail.account };
}

async function timeCopy({ sshd, account }: Host): Promise<number> {
  const startMs = performance.now();
  const ssh = `ssh ${sshOptions(sshd).join(' ')} ${account.name}@${sshd.host} '/bin/cat >copied' <"${process.execPath}"`;
  await mustRun('/bin/sh', ['-c', ssh]);
  return performance.now() - startMs;
}
