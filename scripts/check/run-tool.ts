import { spawn } from 'node:child_process';
import path from 'node:path';
import { repository } from './tree.ts';

export interface ToolRun {
  exitCode: number;
  stdout: string;
  stderr: string;
}

/** Runs a program of `node_modules/.bin` at the root of the checkout and waits for its end. */
export async function runTool(name: string, args: string[]): Promise<ToolRun> {
  const child = spawn(path.join(repository, 'node_modules/.bin', name), args, { cwd: repository, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const exitCode = await new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? 1));
  });
  return { exitCode, stdout, stderr };
}

/** `problems` as read from what a tool printed; when it failed without saying why in a known form, all it printed. */
export function problemsOf(name: string, { exitCode, stdout, stderr }: ToolRun, problems: string[]): string[] {
  if (exitCode === 0 || problems.length > 0) return problems;
  return [`${name} ended with ${exitCode}: ${[stderr, stdout].join('\n').trim() || 'without a word'}`];
}
