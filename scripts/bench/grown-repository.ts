import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mustRun } from '../demo/command.ts';

const FILES = 8_000;
const FILES_IN_FOLDER = 40;
const COMMITS = 200;
const FILES_PER_COMMIT = 20;
const LINES = 60;

/** A bare repository of thousands of files with a history, the same in every run: its commits are numbered. */
export interface GrownRepository {
  folder: string;
  files: number;
  commits: number;
  filesPerCommit: number;
  /** Adds one more commit that changes some files. @returns its hash */
  grow(): Promise<string>;
}

export async function givenGrownRepository(folder: string): Promise<GrownRepository> {
  await mustRun('git', ['init', '-q', '--bare', '-b', 'main', folder]);
  let commits = 0;
  async function grow(count: number): Promise<string> {
    const git = spawn('git', ['-C', folder, 'fast-import', '--quiet'], { stdio: ['pipe', 'inherit', 'inherit'] });
    const closed = once(git, 'close') as Promise<[number]>;
    // What follows in the same import comes after what was imported last.
    for (let n = 0; n < count; n++) if (!git.stdin.write(commitText(commits++, n === 0))) await once(git.stdin, 'drain');
    git.stdin.end();
    const [status] = await closed;
    if (status !== 0) throw new Error(`git fast-import ended with ${status}`);
    return (await mustRun('git', ['-C', folder, 'rev-parse', 'main'])).trim();
  }
  await grow(COMMITS);
  return { folder, files: FILES, commits: COMMITS, filesPerCommit: FILES_PER_COMMIT, grow: () => grow(1) };
}

/** One commit in the language of `git fast-import`: the first makes all files, each later one changes some. */
function commitText(number: number, isFirstOfImport: boolean): string {
  const message = `Commit ${number}`;
  const changed = number === 0 ? range(0, FILES) : range(number * FILES_PER_COMMIT, FILES_PER_COMMIT);
  return [
    'commit refs/heads/main',
    `committer bench <bench@localhost> ${1_700_000_000 + number * 60} +0000`,
    `data ${message.length}`,
    message,
    ...(isFirstOfImport && number > 0 ? ['from refs/heads/main^0'] : []),
    ...changed.map((index) => fileText(index % FILES, number)),
    '',
  ].join('\n');
}

function fileText(index: number, version: number): string {
  const path = `part-${Math.floor(index / FILES_IN_FOLDER)}/file-${index}.txt`;
  // Lines differ from file to file and compress as source does; a change touches a few of them.
  const lines = range(0, LINES).map((line) => {
    const seed = Math.imul(index * LINES + line + (line % 20 === 0 ? version * 7_919 : 0), 2_654_435_761) >>> 0;
    return `line ${line} of ${index} holds ${seed.toString(36)} and ${(seed ^ 0x5bd1e995).toString(16)}`;
  });
  const content = `${lines.join('\n')}\n`;
  return `M 100644 inline ${path}\ndata ${content.length}\n${content}`;
}

function range(from: number, count: number): number[] {
  return Array.from({ length: count }, (_, n) => from + n);
}
