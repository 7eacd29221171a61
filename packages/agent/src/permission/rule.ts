import type { RuleSubject } from '@helixcode/protocol/config/agent-config';
import { plainGitWords } from './git-words.ts';
import { UNKNOWN } from './parse-shell.ts';
import { isUnknown, type RunCommand } from './run-commands.ts';

export interface Rule {
  /** As it is written. */
  text: string;
  subject: RuleSubject;
  /** Of `shell`: words; of `read` and `write`: a pattern of paths. Absent: all of it. */
  of?: string;
}

/** `maybe`: a part of the command that only the shell will know can make it so. */
export type Match = 'yes' | 'maybe' | 'no';

/** @param text as the configuration accepts it */
export function parseRule(text: string): Rule {
  const at = text.indexOf(':');
  if (at === -1) return { text, subject: text as RuleSubject };
  return { text, subject: text.slice(0, at) as RuleSubject, of: text.slice(at + 1).trim() };
}

/**
 * Whether a rule that forbids or asks speaks of a command: the program is the one named, and the other words are among
 * its arguments in their order, with whatever between them. For git, the first of them is its command.
 */
export function speaksOf(rule: Rule, command: RunCommand): Match {
  if (rule.subject !== 'shell') return 'no';
  if (rule.of === undefined) return 'yes';
  const [program = '', ...wanted] = rule.of.split(/\s+/);
  if (command.program === UNKNOWN) return 'maybe';
  if (!isLike(program, command.program)) return 'no';
  const words = wordsOf(command);
  if (command.program !== 'git' || wanted.length === 0) return isAmong(wanted, words.slice(1));
  const [name = '', ...rest] = words.slice(1);
  const ofName = name === '' ? 'no' : matchWord(wanted[0] ?? '', name);
  if (ofName === 'no') return 'no';
  const ofRest = isAmong(wanted.slice(1), rest);
  return ofName === 'yes' ? ofRest : ofRest === 'no' ? 'no' : 'maybe';
}

/** Whether a rule that allows speaks of a command: it begins with exactly these words, and nothing changes what they mean. */
export function permits(rule: Rule, command: RunCommand): boolean {
  if (rule.subject !== 'shell') return false;
  if (rule.of === undefined) return true;
  const words = [command.program, ...command.words.slice(1).map(({ text }) => text)];
  return rule.of.split(/\s+/).every((wanted, at) => {
    const word = words[at];
    return word !== undefined && !isUnknown(word) && isLike(wanted, word);
  });
}

function wordsOf(command: RunCommand): string[] {
  const words = [command.program, ...command.words.slice(1).map(({ text }) => text)];
  return command.program === 'git' ? plainGitWords(words) : words;
}

function isAmong(wanted: readonly string[], words: readonly string[]): Match {
  let isSure = true;
  let at = 0;
  for (const pattern of wanted) {
    let found: Match = 'no';
    for (; at < words.length && found !== 'yes'; at++) {
      const match = matchWord(pattern, words[at] ?? '');
      if (match === 'yes') found = 'yes';
      else if (match === 'maybe') {
        // A word that is unknown can be all of those that are wanted.
        isSure = false;
        found = 'yes';
        if (words[at] === UNKNOWN) return 'maybe';
      }
    }
    if (found === 'no') return 'no';
  }
  return isSure ? 'yes' : 'maybe';
}

function matchWord(pattern: string, word: string): Match {
  if (!isUnknown(word)) return isLike(pattern, word) ? 'yes' : 'no';
  if (pattern.includes('*')) return 'maybe';
  const source = [...word].map((letter) => (isUnknown(letter) ? '[^]*' : letter.replace(/[\\^$.*+?()[\]{}|]/, '\\$&'))).join('');
  return new RegExp(`^${source}$`).test(pattern) ? 'maybe' : 'no';
}

/** @param pattern in which `*` stands for anything */
function isLike(pattern: string, word: string): boolean {
  if (!pattern.includes('*')) return pattern === word;
  return new RegExp(
    `^${pattern
      .split('*')
      .map((part) => part.replaceAll(/[\\^$.+?()[\]{}|]/g, '\\$&'))
      .join('[^]*')}$`,
  ).test(word);
}
