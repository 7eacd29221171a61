import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';

const program = fileURLToPath(new URL('../bin/helix.js', import.meta.url));

export interface Ran {
  status: number | null;
  stdout: string;
  stderr: string;
}

/** A line of a shell's history: no server, no repository, no configuration of the machine's user is in reach. */
export function runHelix(
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv; stdin?: string; readsStdout?: boolean } = {},
): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, ...args], {
      cwd: options.cwd ?? tmpdir(),
      env: {
        PATH: process.env.PATH,
        HOME: '/nonexistent',
        XDG_CACHE_HOME: path.join(tmpdir(), 'helix-cli-test-cache'),
        LANG: 'C.UTF-8',
        ...options.env,
      },
    });
    let stdout = '';
    let stderr = '';
    if (options.readsStdout === false) child.stdout.destroy();
    else child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.on('error', reject);
    child.on('close', (status) => resolve({ status, stdout, stderr }));
    child.stdin.end(options.stdin);
  });
}

export function givenFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'helix-cli-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));
  return folder;
}

export interface Checkout {
  folder: string;
  git(...args: string[]): string;
  write(files: Record<string, string>): void;
  commitAll(): string;
}

/** A repository with a person's name in it, and nothing else. */
export function givenCheckout(folder = givenFolder()): Checkout {
  mkdirSync(folder, { recursive: true });
  const git = (...args: string[]): string =>
    execFileSync('git', args, {
      cwd: folder,
      env: { ...process.env, GIT_CONFIG_NOSYSTEM: '1', GIT_CONFIG_GLOBAL: '/dev/null' },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
      .toString()
      .trim();
  const write = (files: Record<string, string>): void => {
    for (const [name, content] of Object.entries(files)) {
      mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
      writeFileSync(path.join(folder, name), content);
    }
  };
  git('init', '--quiet', '--initial-branch=main');
  git('config', 'user.name', 'Ada');
  git('config', 'user.email', 'ada@example.org');
  return {
    folder,
    git,
    write,
    commitAll() {
      git('add', '--all');
      git('commit', '--quiet', '--message=change');
      return git('rev-parse', 'HEAD');
    },
  };
}
