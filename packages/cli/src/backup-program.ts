import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { CodedError, isErrorCode } from '@helixcode/protocol/errors';

/** What the server's program for backups tells of one. */
export interface BackupFound {
  madeAt: string;
  version: string;
  parts: Record<string, { files: number; bytes: number }>;
  /** Task trees, where the database was started. */
  trees?: number;
  movedAside?: string;
}

/** @throws CodedError what the program refused */
export async function runBackupProgram(args: readonly string[], env: NodeJS.ProcessEnv): Promise<BackupFound> {
  const program = fileURLToPath(new URL('../../server/src/backup/backup-program.ts', import.meta.url));
  if (!existsSync(program))
    throw new CodedError('server.start_failed', `the server is not installed: there is no ${program}`, { next: 'npm ci' });
  const { failure, stdout, stderr } = await new Promise<{ failure: Error | null; stdout: string; stderr: string }>((resolve) => {
    execFile(process.execPath, [program, ...args], { env, maxBuffer: 64 * 1024 * 1024 }, (failure, stdout, stderr) =>
      resolve({ failure, stdout, stderr }),
    );
  });
  if (!failure) return JSON.parse(stdout) as BackupFound;
  throw errorIn(stderr) ?? new Error(stderr.trim() || failure.message, { cause: failure });
}

function errorIn(stderr: string): CodedError | undefined {
  const line = stderr
    .trim()
    .split('\n')
    .findLast((one) => one.startsWith('{"error":'));
  const { error } = JSON.parse(line ?? '{}') as { error?: { code: string; message: string; next?: string } };
  if (error === undefined || !isErrorCode(error.code) || error.code === 'api.internal') return undefined;
  return new CodedError(error.code, error.message, { next: error.next });
}
