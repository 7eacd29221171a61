import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { userInfo } from 'node:os';

/** Why tests that need accounts of their own cannot run; `undefined` where they can. */
export const noAccounts: string | undefined = userInfo().uid === 0 ? undefined : 'only root can make the accounts that this test needs';

export interface TestAccount {
  name: string;
  home: string;
  uid: number;
  remove(): void;
}

/** A user of this machine that lives as long as the test. */
export function givenAccount(options: { password?: string; shell?: string; home?: string } = {}): TestAccount {
  const name = `helixtest${randomBytes(4).toString('hex')}`;
  const home = options.home ?? `/home/${name}`;
  // An account without a password counts as locked, one with an impossible hash does not.
  const hash =
    options.password === undefined
      ? '*'
      : execFileSync('openssl', ['passwd', '-6', '-stdin'], { input: options.password, encoding: 'utf8' }).trim();
  execFileSync('useradd', [
    '--password',
    hash,
    '--shell',
    options.shell ?? '/bin/sh',
    '--home-dir',
    home,
    ...(options.home === undefined ? ['--create-home'] : ['--no-create-home']),
    name,
  ]);
  const uid = Number(execFileSync('id', ['-u', name], { encoding: 'utf8' }));
  return {
    name,
    home,
    uid,
    remove() {
      try {
        execFileSync('pkill', ['-KILL', '-u', name]);
      } catch {
        // It has no processes.
      }
      execFileSync('userdel', [...(options.home === undefined ? ['--remove'] : []), '--force', name], { stdio: 'ignore' });
    },
  };
}
