import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';

/** A repository with commits that a test makes. */
export interface GivenRepository {
  path: string;
  /** @param files path → content; `undefined` deletes; @returns the commit's hash */
  commit(files: Record<string, string | undefined>): string;
}

export function givenRepository(): GivenRepository {
  const path = mkdtempSync(join(tmpdir(), 'helix-repository-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  const git = (...args: string[]): string =>
    execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.com', '-c', 'core.autocrlf=false', ...args], {
      cwd: path,
      encoding: 'utf8',
    }).trim();
  git('init', '--quiet');
  return {
    path,
    commit(files) {
      for (const [name, content] of Object.entries(files)) {
        const file = join(path, name);
        mkdirSync(dirname(file), { recursive: true });
        if (content === undefined) rmSync(file);
        else writeFileSync(file, content);
      }
      git('add', '--all');
      git('commit', '--quiet', '--message', 'change');
      return git('rev-parse', 'HEAD');
    },
  };
}
