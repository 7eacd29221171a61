import { spawn } from 'node:child_process';
import { once } from 'node:events';

export interface Ended {
  exitCode: number;
  stdout: string;
  stderr: string;
}

/** Runs a program to its end and keeps what it says. With `show`, its stderr goes to ours as it comes. */
export async function runCommand(
  program: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv; show?: boolean } = {},
): Promise<Ended> {
  const child = spawn(program, args, {
    cwd: options.cwd,
    env: options.env,
    stdio: ['ignore', 'pipe', options.show ? 'inherit' : 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (piece) => (stdout += piece));
  child.stderr?.on('data', (piece) => (stderr += piece));
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  return { exitCode: code ?? (signal ? 128 : 1), stdout, stderr };
}

/** The same, and an error that says what the command said when it fails. */
export async function mustRun(program: string, args: readonly string[], options: Parameters<typeof runCommand>[2] = {}): Promise<string> {
  const { exitCode, stdout, stderr } = await runCommand(program, args, options);
  if (exitCode !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${exitCode}: ${(stderr || stdout).trim()}`);
  return stdout;
}
