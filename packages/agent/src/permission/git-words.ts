import { UNKNOWN } from './parse-shell.ts';

/** Options of git itself that take the next word. */
const WITH_VALUE = new Set(['-C', '-c', '--git-dir', '--work-tree', '--namespace', '--super-prefix', '--config-env', '--attr-source']);

/** The commands of git that people and scripts use. Any other word can be an alias, which may stand for anything. */
const COMMANDS = new Set(
  `add am annotate apply archive bisect blame branch bundle cat-file check-attr check-ignore check-ref-format checkout cherry
  cherry-pick clean clone column commit commit-graph commit-tree config count-objects describe diff diff-files diff-index
  diff-tree difftool fast-export fast-import fetch filter-branch for-each-ref format-patch fsck gc grep hash-object help http-push
  index-pack init interpret-trailers lfs log ls-files ls-remote ls-tree mailinfo maintenance merge merge-base merge-file merge-tree
  mergetool mktag mktree mv name-rev notes pack-objects pack-refs patch-id prune pull push range-diff read-tree rebase reflog remote
  repack replace rerere reset restore rev-list rev-parse revert rm send-email send-pack shortlog show show-branch show-ref
  sparse-checkout stash status stripspace submodule subtree svn switch symbolic-ref tag unpack-objects update-index update-ref
  update-server-info var verify-commit verify-pack verify-tag version whatchanged worktree write-tree`.split(/\s+/),
);

export interface GitWords {
  /** `UNKNOWN` where it cannot be told, `''` where there is none. */
  command: string;
  /** Behind the command. */
  args: string[];
  /** Keys that `-c` sets for this one call. */
  settings: string[];
}

/** @param words behind the word `git` */
export function readGitWords(words: readonly string[]): GitWords {
  const settings: string[] = [];
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? '';
    if (word.includes(UNKNOWN)) return { command: UNKNOWN, args: words.slice(at + 1), settings };
    if (!word.startsWith('-')) return { command: COMMANDS.has(word) ? word : UNKNOWN, args: words.slice(at + 1), settings };
    if (word === '-c' || word === '--config-env') settings.push((words[at + 1] ?? '').split('=')[0] ?? '');
    else if (word.startsWith('--config-env=')) settings.push(word.slice('--config-env='.length).split('=')[0] ?? '');
    else if (word.startsWith('--exec-path=')) settings.push('core');
    if (WITH_VALUE.has(word)) at++;
  }
  return { command: '', args: [], settings };
}

/** @returns words without what stands between `git` and its command: `git -C x push` and `git push` are the same to a rule */
export function plainGitWords(words: readonly string[]): string[] {
  const { command, args } = readGitWords(words.slice(1));
  return command === '' ? ['git'] : ['git', command, ...args];
}
