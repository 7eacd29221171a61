import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { copyIndex } from '../workspace/checkpoints.ts';
import { type Git, WITHOUT_PROGRAMS } from '../workspace/git.ts';
import { ProgramFailed } from '../workspace/run-program.ts';

/** A file that vanishes while git reads it ends git; a busy checkout gets so many tries. */
const TRIES = 4;

/**
 * Identifies the content of all files of a checkout that git does not ignore. It is reckoned through an index of its
 * own, kept between calls since it tells git which files it need not read again: that of the checkout stays as it is.
 *
 * @param jobFolder where the index may lie
 */
export async function treeHash(git: Git, root: string, jobFolder: string): Promise<string> {
  const index = join(jobFolder, 'tree.index');
  const env = { GIT_INDEX_FILE: index, GIT_OPTIONAL_LOCKS: '0' };
  const run = async (args: string[], input?: string): Promise<string> => {
    const { stdout } = await git.run([...WITHOUT_PROGRAMS, ...args], { cwd: root, env, ...(input !== undefined && { input }) });
    return stdout.toString('utf8');
  };
  for (let tries = 1; ; tries++) {
    try {
      rmSync(`${index}.lock`, { force: true });
      if (!existsSync(index)) {
        const own = (await run(['rev-parse', '--absolute-git-dir'])).trim();
        if (existsSync(join(own, 'index'))) copyIndex(join(own, 'index'), index);
      }
      const others = await run(['ls-files', '-z', '--others', '--exclude-standard']);
      // Repositories in the checkout have a history of their own.
      const nested = others.split('\0').filter((path) => path.endsWith('/'));
      const paths = ['.', ...nested.map((path) => `:(top,exclude,literal)${path.slice(0, -1)}`)];
      await run(['add', '--all', '--pathspec-from-file=-', '--pathspec-file-nul'], paths.join('\0'));
      return (await run(['write-tree'])).trim();
    } catch (error) {
      if (!(error instanceof ProgramFailed) || tries === TRIES) throw error;
      rmSync(index, { force: true });
    }
  }
}
