import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { givenSshd, type TestSshd } from './sshd.ts';
import { givenAccount, type TestAccount } from './test-account.ts';

const BUSYBOX = ['/usr/bin/busybox', '/bin/busybox'].find((path) => existsSync(path) && isStatic(path));

/** Why there can be no host with nothing but a busybox; `undefined` where there can. */
export const noBusybox: string | undefined = BUSYBOX ? undefined : 'no static busybox on this machine (install busybox-static)';

/** A root folder in which a busybox is all there is: no C library, no Node. */
export interface Jail {
  path: string;
  account: TestAccount;
}

/** A folder in which jails may be: every folder above a chroot must belong to root alone, which /tmp does not. */
export function givenJailYard(): { path: string; remove(): void } {
  const path = mkdtempSync('/var/lib/helix-test-');
  chmodSync(path, 0o755);
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** @param names `all`: every applet has its name; `sh`: only the shell */
export function givenJail(yard: string, name: string, names: 'all' | 'sh' = 'all'): Jail {
  if (!BUSYBOX) throw new Error(noBusybox);
  const path = join(yard, name);
  const account = givenAccount({ home: `/home/${name}` });
  for (const folder of ['bin', 'dev', 'proc', 'home', `home/${name}`, 'var/tmp', 'tmp']) mkdirSync(join(path, folder), { recursive: true });
  chmodSync(join(path, 'var/tmp'), 0o755);
  chmodSync(join(path, 'tmp'), 0o1777);
  execFileSync('chown', [`${account.uid}`, join(path, 'home', name)]);
  copyFileSync(BUSYBOX, join(path, 'bin', 'busybox'));
  chmodSync(join(path, 'bin', 'busybox'), 0o755);
  const applets = names === 'sh' ? ['sh'] : execFileSync(BUSYBOX, ['--list'], { encoding: 'utf8' }).trim().split('\n');
  for (const applet of applets) if (applet !== 'busybox') symlinkSync('busybox', join(path, 'bin', applet));
  writeFileSync(join(path, 'README'), 'nothing else is here\n');
  return { path, account };
}

/** An sshd that keeps the jail's account in the jail. @param mounts shell commands, @see SshdOptions */
export function givenJailedSshd({ path, account }: Jail, mounts = ''): Promise<TestSshd> {
  return givenSshd({
    matches: [`Match User ${account.name}`, `  ChrootDirectory ${path}`, '  SetEnv PATH=/nonexistent'],
    mounts: `mount -t proc proc ${path}/proc\nmount --rbind /dev ${path}/dev\n${mounts}`,
  });
}

/** Whether a 64-bit ELF program asks for no interpreter (ELF-64: program headers, `PT_INTERP` is 3). */
function isStatic(path: string): boolean {
  const file = readFileSync(path);
  if (file.toString('latin1', 0, 5) !== '\x7fELF\x02') return false;
  const [at, size, count] = [Number(file.readBigUInt64LE(32)), file.readUInt16LE(54), file.readUInt16LE(56)];
  return Array.from({ length: count }, (_, n) => file.readUInt32LE(at + n * size)).every((type) => type !== 3);
}
