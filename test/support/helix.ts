import { execFile } from 'node:child_process';
import path from 'node:path';

const HELIX = path.resolve(import.meta.dirname, '../../packages/cli/bin/helix.js');

/** A command that has said nothing for so long outlives its test otherwise. */
const HANGS_AFTER_MS = 110_000;

export interface HelixRun {
  exitCode: number;
  stdout: string;
  stderr: string;
  /** The error it ended with, as `--json` prints it. */
  error: { code: string; message: string; next?: string } | undefined;
}

/** Runs the real `helix … --json` against the server of a data folder. Its exit status is a result, not an error. */
export function helix(home: string, args: string[], options: { cwd?: string; env?: Record<string, string> } = {}): Promise<HelixRun> {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, ...options.env, HELIX_HOME: home };
    const child = execFile(
      process.execPath,
      [HELIX, '--json', ...args],
      { cwd: options.cwd, env, maxBuffer: 64 * 1024 * 1024, timeout: HANGS_AFTER_MS, killSignal: 'SIGKILL' },
      (error, stdout, stderr) => {
        if (child.exitCode === null) return reject(new Error(`helix ${args.join(' ')} did not end by itself: ${error?.message}`));
        resolve({ exitCode: child.exitCode, stdout, stderr, error: lastError(stderr) });
      },
    );
  });
}

function lastError(stderr: string): HelixRun['error'] {
  for (const line of stderr.trim().split('\n').toReversed()) {
    if (line.startsWith('{"error":')) return (JSON.parse(line) as { error: NonNullable<HelixRun['error']> }).error;
  }
  return undefined;
}
