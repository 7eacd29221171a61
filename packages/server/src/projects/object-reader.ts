import type { Git } from './git.ts';

/** An object of a repository, as git keeps it. */
export interface GitObject {
  type: 'blob' | 'tree' | 'commit' | 'tag';
  body: Buffer;
}

/** Reads objects of one repository. */
export interface ObjectReader {
  /** @returns `undefined` for what the repository does not have */
  read(id: string): Promise<GitObject | undefined>;
  close(): void;
}

/** A git that is asked nothing for so long is ended. */
const IDLE_MS = 3_000;

/** One git answers many questions, one after the other: starting one for each would take longer than the answer. */
export function openObjectReader(git: Git, gitDir: string): ObjectReader {
  let asked: AskedGit | undefined;
  let idle: NodeJS.Timeout | undefined;
  let underWay = 0;

  function close(): void {
    clearTimeout(idle);
    asked?.end();
    asked = undefined;
  }

  return {
    async read(id) {
      clearTimeout(idle);
      if (!asked || asked.isOver()) asked = startAskedGit(git, gitDir);
      underWay++;
      try {
        return await asked.ask(id);
      } finally {
        if (--underWay === 0) idle = setTimeout(close, IDLE_MS);
      }
    },
    close,
  };
}

interface AskedGit {
  ask(id: string): Promise<GitObject | undefined>;
  isOver(): boolean;
  end(): void;
}

function startAskedGit(git: Git, gitDir: string): AskedGit {
  const child = git.start([`--git-dir=${gitDir}`, 'cat-file', '--batch']);
  const waiting: PromiseWithResolvers<GitObject | undefined>[] = [];
  let said = Buffer.alloc(0);
  let isOver = false;
  const fail = (error: Error): void => {
    isOver = true;
    for (const answer of waiting.splice(0)) answer.reject(error);
  };
  child.stdout.on('data', (piece: Buffer) => {
    said = Buffer.concat([said, piece]);
    for (let lineEnd = said.indexOf(10); lineEnd !== -1; lineEnd = said.indexOf(10)) {
      const [, type = '', size = ''] = said.subarray(0, lineEnd).toString().split(' ');
      if (type === 'missing') {
        said = said.subarray(lineEnd + 1);
        waiting.shift()?.resolve(undefined);
        continue;
      }
      const end = lineEnd + 1 + Number(size);
      // A line end follows it.
      if (said.length <= end) return;
      const body = Buffer.from(said.subarray(lineEnd + 1, end));
      said = said.subarray(end + 1);
      waiting.shift()?.resolve({ type: type as GitObject['type'], body });
    }
  });
  child.stderr.resume();
  // Its end tells why it does not read on.
  child.stdin.on('error', () => {});
  child.on('error', fail);
  child.on('close', (status) => fail(new Error(`git cat-file of ${gitDir} ended with ${status}`)));
  return {
    ask(id) {
      const answer = Promise.withResolvers<GitObject | undefined>();
      waiting.push(answer);
      child.stdin.write(`${id}\n`);
      return answer.promise;
    },
    isOver: () => isOver,
    end: () => void child.stdin.end(),
  };
}
