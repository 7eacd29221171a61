import { existsSync } from 'node:fs';
import { basename, matchesGlob } from 'node:path';
import { Writable } from 'node:stream';
import { CodedError } from '@helixcode/protocol/errors';
import { MATCH_CHARACTERS, type WorkspaceAnswers, type WorkspaceOp } from '@helixcode/protocol/worker/workspace';
import { type Git, WITHOUT_PROGRAMS } from '../workspace/git.ts';
import { ProgramFailed } from '../workspace/run-program.ts';
import { realPathInside } from './inside-path.ts';

type SearchOp = Extract<WorkspaceOp, { do: 'search' }>;
type Found = WorkspaceAnswers['search'];

/** A pattern that takes longer goes back and forth over the same text. */
const WITHIN_MS = 20_000;
/** Globs that git understands as `matchesGlob` does: then git need not look into other files at all. */
const PLAIN_GLOB = /^[A-Za-z0-9_.\-/*?]+$/;

/** A git without Perl's expressions says so once. */
let hasPerlExpressions = true;

/**
 * Lines that match, of files that git does not ignore and that are text.
 * @throws CodedError `workspace.pattern_refused`, `workspace.path_refused`
 */
export async function searchFiles(git: Git, root: string, op: SearchOp): Promise<Found> {
  const real = realPathInside(root, op.path);
  if (op.pattern.includes('\n') || op.pattern.includes('\0'))
    throw new CodedError('workspace.pattern_refused', 'the pattern holds a line end or a zero byte: it is matched with one line at a time');
  if (!existsSync(real)) return { matches: [], isCut: false };
  const within = real === root ? '' : real.slice(root.length + 1);
  try {
    return await grep(git, root, within, op);
  } catch (error) {
    if (!(error instanceof ProgramFailed)) throw error;
    if (hasPerlExpressions && error.tail.includes('Perl-compatible')) {
      hasPerlExpressions = false;
      return searchFiles(git, root, op);
    }
    const reason = /fatal: (?:command line, )?(.*)/.exec(error.tail)?.[1] ?? error.tail.trim();
    throw new CodedError('workspace.pattern_refused', `${JSON.stringify(op.pattern)} cannot be searched for: ${reason}`, { cause: error });
  }
}

async function grep(git: Git, root: string, within: string, op: SearchOp): Promise<Found> {
  const { glob } = op;
  const matches: Found['matches'] = [];
  const enough = new AbortController();
  let isCut = false;
  const take = (path: string, line: number, text: string): void => {
    if (glob !== undefined && !matchesGlob(glob.includes('/') ? path : basename(path), glob)) return;
    if (matches.length === op.maxMatches) {
      isCut = true;
      enough.abort();
      return;
    }
    // Asked for through a link, it is told by the name it was asked for.
    const shown = within === op.path ? path : op.path + path.slice(within.length);
    matches.push({ path: shown, line, text: text.length > MATCH_CHARACTERS ? text.slice(0, MATCH_CHARACTERS).toWellFormed() : text });
  };
  const args = [
    ...[...WITHOUT_PROGRAMS, '-c', 'submodule.recurse=false'],
    ...['grep', '--untracked', '--exclude-standard', '--no-color', '--no-column', '--full-name', '-I', '-n', '-z'],
    hasPerlExpressions ? '-P' : '-E',
    ...(op.ignoreCase ? ['-i'] : []),
    ...['-e', op.pattern, '--', pathspecOf(within, glob)],
  ];
  const tooLate = AbortSignal.timeout(WITHIN_MS);
  const env = { LC_ALL: 'C.UTF-8', GIT_OPTIONAL_LOCKS: '0' };
  const signal = AbortSignal.any([enough.signal, tooLate]);
  try {
    await git.run(args, { cwd: root, env, signal, output: matchLines(take) });
  } catch (error) {
    if (tooLate.aborted)
      throw new CodedError('workspace.pattern_refused', `${JSON.stringify(op.pattern)} was not searched for within ${WITHIN_MS} ms`, {
        next: 'search for something simpler, or in one folder',
      });
    // Without a match it ends with 1, and says nothing.
    const isEmpty = error instanceof ProgramFailed && error.tail === '' && !enough.signal.aborted;
    if (!isEmpty && !isCut) throw error;
  }
  return { matches, isCut };
}

function pathspecOf(within: string, glob: string | undefined): string {
  if (glob === undefined || within !== '' || !PLAIN_GLOB.test(glob)) return within === '' ? '.' : `:(top,literal)${within}`;
  return glob.includes('/') ? `:(top,glob)${glob}` : `:(top,glob)**/${glob}`;
}

/** Reads `path NUL line NUL text LF`. */
function matchLines(take: (path: string, line: number, text: string) => void): Writable {
  let held: Buffer = Buffer.alloc(0);
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
      let from = 0;
      for (;;) {
        const afterPath = held.indexOf(0, from);
        const afterLine = afterPath === -1 ? -1 : held.indexOf(0, afterPath + 1);
        const end = afterLine === -1 ? -1 : held.indexOf(0x0a, afterLine + 1);
        if (end === -1) break;
        const text = held.toString('utf8', afterLine + 1, end);
        take(
          held.toString('utf8', from, afterPath),
          Number(held.toString('latin1', afterPath + 1, afterLine)),
          text.endsWith('\r') ? text.slice(0, -1) : text,
        );
        from = end + 1;
      }
      held = held.subarray(from);
      done();
    },
  });
}
