import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import type { HostKeyRow } from '../worker-row.ts';
import type { SeenHostKey } from './worker-transport.ts';

/** @param lookupName the name ssh looks for: `host`, or `[host]:port` where the port is not 22 */
export function knownHostsFile(lookupName: string, keys: readonly HostKeyRow[]): string {
  return keys
    .filter((key) => key.accepted_at !== null || key.revoked_at !== null)
    .map((key) => `${key.revoked_at ? '@revoked ' : ''}${lookupName} ${key.key_type} ${key.public_key}\n`)
    .join('');
}

/** The keys in the text of a known_hosts file, whatever name they stand under; marked lines are left out. */
export function parseKnownHosts(text: string, isTrusted: boolean): SeenHostKey[] {
  return text.split('\n').flatMap((line) => {
    const [, type, publicKey] = line.trim().split(/\s+/);
    if (line.startsWith('#') || line.startsWith('@') || !type || !publicKey) return [];
    return [{ type, publicKey, fingerprint: fingerprintOf(publicKey), isTrusted }];
  });
}

/** The keys under which a file of the person knows a machine, also where its names are hashed. */
export async function findKnownKeys(lookupName: string, file: string): Promise<SeenHostKey[]> {
  try {
    const { stdout } = await promisify(execFile)('ssh-keygen', ['-F', lookupName, '-f', file]);
    return parseKnownHosts(stdout, true);
  } catch {
    // Without such a file, or such a line in it, ssh-keygen ends with an error.
    return [];
  }
}

/** As ssh prints it. */
export function fingerprintOf(publicKey: string): string {
  return `SHA256:${createHash('sha256').update(Buffer.from(publicKey, 'base64')).digest('base64').replace(/=+$/, '')}`;
}
