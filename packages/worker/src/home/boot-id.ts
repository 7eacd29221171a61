import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

let known: string | undefined;

/** Names this boot of the machine: no process of another one can be alive. `HELIX_BOOT_ID` stands in for it in tests. */
export function bootId(): string {
  known ??=
    process.env['HELIX_BOOT_ID'] ||
    (process.platform === 'linux'
      ? readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
      : execFileSync('/usr/sbin/sysctl', ['-n', 'kern.bootsessionuuid'], { encoding: 'utf8' }).trim());
  return known;
}
