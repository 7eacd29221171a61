import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { onTestFinished } from 'vitest';

export interface TestRepository {
  folder: string;
  git(...args: string[]): string;
  /** Writes the files and commits everything; returns the commit. */
  commit(files: Record<string, string | Buffer>): string;
  /** A bundle of `what`, e.g. a branch and `^exclusions`. */
  bundle(...what: string[]): Buffer;
}

export function givenFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'helix-projects-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));
  return folder;
}

/** An empty repository with branch `main`. */
export function givenRepository(...initArgs: string[]): TestRepository {
  const folder = givenFolder();
  const env = {
    ...process.env,
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_AUTHOR_NAME: 'Ada',
    GIT_AUTHOR_EMAIL: 'ada@example.org',
    GIT_COMMITTER_NAME: 'Ada',
    GIT_COMMITTER_EMAIL: 'ada@example.org',
  };
  const run = (...args: string[]): Buffer => execFileSync('git', args, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const git = (...args: string[]): string =>
    run(...args)
      .toString()
      .trim();
  git('init', '--quiet', '--initial-branch=main', ...initArgs);
  return {
    folder,
    git,
    commit(files) {
      for (const [name, content] of Object.entries(files)) {
        mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
        writeFileSync(path.join(folder, name), content);
      }
      git('add', '--all');
      git('commit', '--quiet', '--message=change');
      return git('rev-parse', 'HEAD');
    },
    bundle: (...what) => run('bundle', 'create', '--quiet', '-', ...what),
  };
}
