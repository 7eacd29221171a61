import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chownSync, closeSync, fsyncSync, mkdirSync, openSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { PostgresBinaries } from './postgres-binaries.ts';
import { type Place, superuser } from './postgres-place.ts';
import { notExecutable, programEnv, startFailed } from './postgres-program.ts';

/** Makes the cluster and its password in a scratch folder; the rename at the end makes both valid at once or not at all. */
export async function makeCluster(place: Place, binaries: PostgresBinaries, settings: Record<string, string>): Promise<void> {
  for (const name of readdirSync(place.folder)) {
    // A killed starter's initdb may still be writing into its own scratch folder: then it stays until the next time.
    if (name.startsWith('scratch-')) {
      try {
        rmSync(path.join(place.folder, name), { recursive: true, force: true });
      } catch (error) {
        if (!isErrno(error, 'ENOTEMPTY')) throw error;
      }
    }
  }
  const scratch = path.join(place.folder, `scratch-${process.pid}-${randomBytes(4).toString('hex')}`);
  mkdirSync(scratch, { mode: 0o700 });
  const passwordFile = path.join(scratch, 'password');
  writeFileSync(passwordFile, randomBytes(24).toString('base64url'), { mode: 0o600, flush: true });
  if (place.account !== undefined) {
    for (const made of [scratch, passwordFile]) chownSync(made, place.account.uid, place.account.gid);
  }

  await runInitdb(place, binaries, [
    `--pgdata=${path.join(scratch, 'data')}`,
    `--username=${superuser}`,
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--no-instructions',
    ...(settings.fsync === 'off' ? ['--no-sync'] : []),
  ]);
  renameSync(scratch, place.cluster);
  const folder = openSync(place.folder, 'r');
  fsyncSync(folder);
  closeSync(folder);
}

function runInitdb(place: Place, binaries: PostgresBinaries, args: string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(binaries.initdb, args, {
      ...place.account,
      cwd: '/',
      env: programEnv,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    child.stdout.on('data', (text: Buffer) => (output += text));
    child.stderr.on('data', (text: Buffer) => (output += text));
    child.on('error', (error) => reject(notExecutable(binaries.initdb, error.message, error)));
    child.on('close', (code, signal) => {
      if (code === 0) resolve();
      else reject(startFailed(place, `initdb ended with ${signal ?? code}`, output));
    });
  });
}

function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
