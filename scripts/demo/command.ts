import { spawn } from 'node:child_process';
import { once } from 'node:events';

export interface Ended {
  exitCode: number;
  /** Empty where it was shown instead. */
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  /** What of its output goes straight to ours: `progress` is its stderr. */
  show?: 'nothing' | 'progress' | 'all';
}

/** Runs a program to its end and keeps what it says. */
export async function runCommand(
  program: string,
  args: readonly string[],
  { cwd, env, show = 'nothing' }: RunOptions = {},
): Promise<Ended> {
  const child = spawn(program, args, {
    cwd,
    env,
    stdio: ['ignore', show === 'all' ? 'inherit' : 'pipe', show === 'nothing' ? 'pipe' : 'inherit'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (piece) => (stdout += piece));
  child.stderr?.on('data', (piece) => (stderr += piece));
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  return { exitCode: code ?? (signal ? 128 : 1), stdout, stderr };
}

/** @throws Error with what the program said, when it fails; @returns its stdout */
export async function mustRun(program: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { exitCode, stdout, stderr } = await runCommand(program, args, options);
  if (exitCode !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${exitCode}: ${(stderr || stdout).trim()}`);
  return stdout;
}
