/** A word of a shell command: as written, and with its quotes taken away (variables and wildcards stay as they are). */
export interface ShellWord {
  raw: string;
  text: string;
  /** Whether the shell itself would expand a `*`, `?` or `[` of it. */
  wildcard: boolean;
}

/** A simple command and the operator before it: `&&`, `||`, `;`, `|`, `&`, or nothing at the start. */
export interface ShellCommand {
  operator: string;
  words: ShellWord[];
}

/** One word for `/bin/sh` that stands for exactly `text`, whatever characters it has. */
export function quoteWord(text: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** A path as an argument that no program takes for an option. */
export function quotePath(path: string): string {
  return quoteWord(path.startsWith('-') ? `./${path}` : path);
}

const OPERATORS = ['&&', '||', ';', '|', '&'] as const;

/**
 * Takes apart a line of the kind that stands in `scripts` of a package.json: simple commands joined by operators.
 * Compound commands (`if`, `for`, parentheses) are not understood; their words come out as words.
 *
 * @see POSIX Shell Command Language, 2.2 (Quoting) and 2.3 (Token Recognition)
 */
export function splitShell(line: string): ShellCommand[] {
  const commands: ShellCommand[] = [{ operator: '', words: [] }];
  let word: ShellWord | undefined;
  let at = 0;
  const take = (raw: string, text: string, wildcard = false) => {
    word ??= { raw: '', text: '', wildcard: false };
    word.raw += raw;
    word.text += text;
    word.wildcard ||= wildcard;
    at += raw.length;
  };
  const endWord = () => {
    if (word) commands.at(-1)?.words.push(word);
    word = undefined;
  };
  while (at < line.length) {
    const char = line.charAt(at);
    const operator = OPERATORS.find((candidate) => line.startsWith(candidate, at));
    // `2>&1` and `>&2` are redirections of the same command.
    if (operator && !(operator === '&' && line.charAt(at - 1) === '>')) {
      endWord();
      commands.push({ operator, words: [] });
      at += operator.length;
    } else if (/\s/.test(char)) {
      endWord();
      at += 1;
    } else if (char === "'") {
      const end = line.indexOf("'", at + 1);
      const raw = end < 0 ? line.slice(at) : line.slice(at, end + 1);
      take(raw, end < 0 ? raw.slice(1) : raw.slice(1, -1));
    } else if (char === '"') {
      const raw = /^"(?:\\[\s\S]|[^"\\])*"?/.exec(line.slice(at))?.[0] ?? char;
      const inner = raw.length > 1 && raw.endsWith('"') ? raw.slice(1, -1) : raw.slice(1);
      take(raw, inner.replace(/\\([$`"\\])/g, '$1'));
    } else if (char === '\\' && at + 1 < line.length) {
      take(line.slice(at, at + 2), line.charAt(at + 1));
    } else {
      take(char, char, /[*?[]/.test(char));
    }
  }
  endWord();
  return commands.filter((command) => command.words.length > 0);
}
