import type { TestSshd } from '../../packages/server/test/support/sshd.ts';

/** What `ssh` needs to sign in to the sshd of a measurement, and nothing of the person who measures. */
export function sshOptions(sshd: TestSshd): string[] {
  const knownHosts = `UserKnownHostsFile=${sshd.knownHostsFile}`;
  return ['-F', 'none', '-p', String(sshd.port), '-i', sshd.identityFile, '-o', 'BatchMode=yes', '-o', knownHosts];
}
