/** Stands in a word for what only the shell will know: the value of `$x`, the output of `$(…)`. It may be anything, also several words. */
export const UNKNOWN = '\uE000';
/** Stands in a word for a part of a file's name that a pattern leaves open. */
export const OPEN = '\uE001';

export interface Word {
  /** Without its quotes. */
  text: string;
  /** The pattern of file names as it is written, where there is one. */
  pattern?: string;
}

export interface Redirection {
  /** `<`, `>`, `>>`, `>|`, `<>`, `>&`, `<&`, `&>`, `&>>`, `<<` (also for `<<-` and `<<<`). */
  operator: string;
  /** Of `<<` what is fed in. */
  target: Word;
}

/** A program with its arguments, as it stands in a script. */
export interface SimpleCommand {
  /** `NAME=value` before the program. */
  assignments: Word[];
  words: Word[];
  redirections: Redirection[];
  /** Its standard input is the output of another command. */
  isFed: boolean;
}

export type ParsedShell = { commands: SimpleCommand[] } | { problem: string };

const LONGEST_CHARACTERS = 100_000;
const DEEPEST = 40;
const BLANK = /[ \t]/;
/** Where an unquoted word ends. */
const WORD_END = /[ \t\n;&|<>()]/;
/** Of bash and others, with rules of their own inside. */
const FOREIGN_WORDS = new Set(['[[', 'function', 'select', 'coproc', 'let', 'declare', 'typeset']);
const OPERATOR = /^(?:\d*)(&>>|&>|<<-|<<<|<<|<>|<&|>>|>&|>\||<|>)/;

/**
 * Reads a program for `/bin/sh` and gives all simple commands in it, in their order: those of pipelines, lists, branches,
 * loops, functions, subshells and substitutions alike. Whether one of them will run is not asked.
 *
 * @returns the problem of one that is not understood: then it is not known what it runs
 * @see POSIX.1-2024, Shell Command Language, 2.2 to 2.10
 */
export function parseShell(text: string): ParsedShell {
  try {
    return { commands: new ShellReader(text, 0).readAll() };
  } catch (error) {
    if (error instanceof NotUnderstood) return { problem: error.message };
    throw error;
  }
}

class NotUnderstood extends Error {}

class ShellReader {
  readonly #text: string;
  #depth: number;
  #at = 0;
  #commands: SimpleCommand[] = [];
  /** Here-documents whose body begins behind the next line end. */
  #awaited: { redirection: Redirection; delimiter: string; isQuoted: boolean; stripsTabs: boolean }[] = [];

  constructor(text: string, depth: number) {
    if (text.length > LONGEST_CHARACTERS) throw new NotUnderstood('it is too long');
    if (/[\0\uE000\uE001]/.test(text)) throw new NotUnderstood('it has a character that no command has');
    this.#text = text;
    this.#depth = depth;
    this.#deeper();
  }

  readAll(): SimpleCommand[] {
    this.#readList(() => false);
    if (this.#at < this.#text.length) throw new NotUnderstood(`${JSON.stringify(this.#text[this.#at])} stands where it has no meaning`);
    this.#readBodies();
    return this.#commands;
  }

  /** @param isEnd whether a word in the place of a command ends the list; a `)` always does */
  #readList(isEnd: (word: string) => boolean): void {
    for (;;) {
      this.#skip(true);
      const next = this.#peek();
      if (next === '' || next === ')') return;
      if (this.#startsWith(';;')) return;
      if (next === ';' || next === '&') {
        this.#take(this.#startsWith('&&') ? 2 : 1);
        continue;
      }
      if (isEnd(this.#peekReserved())) return;
      this.#readPipeline();
      this.#skip(false);
      if (this.#startsWith('&&') || this.#startsWith('||')) this.#take(2);
    }
  }

  /** Texts can be nested as deeply as they are long; the stack cannot. */
  #deeper(): void {
    if (++this.#depth > DEEPEST) throw new NotUnderstood('it is nested too deeply');
  }

  #readPipeline(): void {
    let isFed = false;
    for (;;) {
      this.#skip(isFed);
      if (this.#peekReserved() === '!') {
        this.#take(1);
        this.#skip(false);
      }
      const from = this.#commands.length;
      this.#readCommand();
      // Of a group, any command may be the one that reads.
      if (isFed) for (const command of this.#commands.slice(from)) command.isFed = true;
      this.#skip(false);
      if (this.#peek() !== '|' || this.#startsWith('||')) return;
      this.#take(this.#startsWith('|&') ? 2 : 1);
      isFed = true;
    }
  }

  #readCommand(): void {
    this.#deeper();
    this.#readAnyCommand();
    this.#depth--;
  }

  #readAnyCommand(): void {
    const begin = this.#at;
    if (this.#peek() === '(') {
      if (this.#startsWith('((')) throw new NotUnderstood('(( )) is no part of a plain shell');
      this.#take(1);
      this.#readList(() => false);
      this.#expect(')');
      return this.#readRedirectionsBehind();
    }
    const word = this.#peekReserved();
    if (FOREIGN_WORDS.has(word)) throw new NotUnderstood(`${word} is no part of a plain shell`);
    switch (word) {
      case '{':
        this.#take(1);
        this.#readUntil('}');
        return this.#readRedirectionsBehind();
      case 'if':
        this.#take(2);
        this.#readUntil('then');
        for (let end = this.#readUntilOneOf(['elif', 'else', 'fi']); end !== 'fi'; end = this.#readUntilOneOf(['elif', 'else', 'fi']))
          if (end === 'elif') this.#readUntil('then');
        return this.#readRedirectionsBehind();
      case 'while':
      case 'until':
        this.#take(5);
        this.#readUntil('do');
        this.#readUntil('done');
        return this.#readRedirectionsBehind();
      case 'for':
        this.#take(3);
        return this.#readFor();
      case 'case':
        this.#take(4);
        return this.#readCase();
      case 'then':
      case 'elif':
      case 'else':
      case 'fi':
      case 'do':
      case 'done':
      case 'esac':
      case 'in':
      case '}':
        throw new NotUnderstood(`${word} stands where it has no meaning`);
    }
    this.#readSimple();
    if (this.#at === begin) throw new NotUnderstood(`${JSON.stringify(this.#peek())} stands where a command should`);
  }

  #readSimple(): void {
    const command: SimpleCommand = { assignments: [], words: [], redirections: [], isFed: false };
    const inner: SimpleCommand[] = [];
    for (;;) {
      this.#skip(false);
      const redirection = this.#readRedirection(inner);
      if (redirection) {
        command.redirections.push(redirection);
        continue;
      }
      const next = this.#peek();
      if (next === '(' && command.words.length === 1 && command.assignments.length === 0) {
        this.#take(1);
        this.#skip(false);
        this.#expect(')');
        this.#skip(true);
        return this.#readCommand(); // A function: what its body does counts.
      }
      if (next === '(') throw new NotUnderstood('( stands in a command');
      if (next === '' || WORD_END.test(next)) break;
      const begin = this.#at;
      const word = this.#readWord(inner);
      const isAssignment = command.words.length === 0 && /^[A-Za-z_][A-Za-z0-9_]*\+?=/.test(this.#text.slice(begin, this.#at));
      if (isAssignment && this.#peek() === '(') throw new NotUnderstood('lists in variables are no part of a plain shell');
      (isAssignment ? command.assignments : command.words).push(word);
    }
    this.#commands.push(...inner);
    if (command.words.length + command.assignments.length + command.redirections.length > 0) this.#commands.push(command);
  }

  #readFor(): void {
    const inner: SimpleCommand[] = [];
    this.#skip(false);
    this.#readWord(inner);
    this.#skip(true);
    if (this.#peekReserved() === 'in') {
      this.#take(2);
      for (this.#skip(false); this.#peek() !== '' && !WORD_END.test(this.#peek()); this.#skip(false)) this.#readWord(inner);
    }
    this.#commands.push(...inner);
    this.#skip(true);
    if (this.#peek() === ';') this.#take(1);
    this.#skip(true);
    this.#expect('do');
    this.#readUntil('done');
    this.#readRedirectionsBehind();
  }

  #readCase(): void {
    const inner: SimpleCommand[] = [];
    this.#skip(false);
    this.#readWord(inner);
    this.#skip(true);
    this.#expect('in');
    for (;;) {
      this.#skip(true);
      if (this.#peekReserved() === 'esac') break;
      if (this.#peek() === '(') this.#take(1);
      for (;;) {
        this.#skip(false);
        this.#readWord(inner);
        this.#skip(false);
        if (this.#peek() !== '|') break;
        this.#take(1);
      }
      this.#expect(')');
      this.#readList((word) => word === 'esac');
      if (this.#startsWith(';;')) this.#take(2);
      else if (this.#peekReserved() !== 'esac') throw new NotUnderstood('a case does not end');
    }
    this.#take(4);
    this.#commands.push(...inner);
    this.#readRedirectionsBehind();
  }

  #readUntil(word: string): void {
    this.#readUntilOneOf([word]);
  }

  #readUntilOneOf(ends: string[]): string {
    this.#readList((word) => ends.includes(word));
    const end = this.#peekReserved();
    if (!ends.includes(end)) throw new NotUnderstood(`${ends.join(' or ')} is missing`);
    this.#take(end.length);
    return end;
  }

  /** What is redirected for a whole group is kept as a command without a program. */
  #readRedirectionsBehind(): void {
    const inner: SimpleCommand[] = [];
    const redirections: Redirection[] = [];
    for (;;) {
      this.#skip(false);
      const redirection = this.#readRedirection(inner);
      if (!redirection) break;
      redirections.push(redirection);
    }
    this.#commands.push(...inner);
    if (redirections.length > 0) this.#commands.push({ assignments: [], words: [], redirections, isFed: false });
    // Behind a group only what ends a command may stand.
    if (this.#peek() !== '' && !/[\n;&|)]/.test(this.#peek())) throw new NotUnderstood('words stand behind a group of commands');
  }

  #readRedirection(inner: SimpleCommand[]): Redirection | undefined {
    const match = OPERATOR.exec(this.#text.slice(this.#at, this.#at + 16));
    if (!match) return undefined;
    const operator = match[1] ?? '';
    this.#take(match[0].length);
    if (this.#peek() === '(') throw new NotUnderstood('<( ) is no part of a plain shell');
    this.#skip(false);
    const begin = this.#at;
    const target = this.#readWord(inner);
    if (begin === this.#at) throw new NotUnderstood(`${operator} leads nowhere`);
    if (operator === '<<' || operator === '<<-') {
      const raw = this.#text.slice(begin, this.#at);
      const redirection: Redirection = { operator: '<<', target: { text: '' } };
      this.#awaited.push({ redirection, delimiter: target.text, isQuoted: /['"\\]/.test(raw), stripsTabs: operator === '<<-' });
      return redirection;
    }
    return { operator: operator === '<<<' ? '<<' : operator, target };
  }

  #readBodies(): void {
    for (const { redirection, delimiter, isQuoted, stripsTabs } of this.#awaited.splice(0)) {
      const lines: string[] = [];
      for (;;) {
        if (this.#at >= this.#text.length) throw new NotUnderstood(`the text up to ${delimiter} does not end`);
        const end = this.#text.indexOf('\n', this.#at);
        const whole = this.#text.slice(this.#at, end === -1 ? undefined : end);
        this.#at = end === -1 ? this.#text.length : end + 1;
        const line = stripsTabs ? whole.replace(/^\t+/, '') : whole;
        if (line === delimiter) break;
        lines.push(line);
      }
      const body = lines.map((line) => `${line}\n`).join('');
      if (isQuoted) redirection.target = { text: body };
      else {
        const reader = new ShellReader(body, this.#depth);
        redirection.target = { text: reader.#readExpanding('') };
        this.#commands.push(...reader.#commands);
      }
    }
  }

  /** @param inner takes what substitutions in the word run */
  #readWord(inner: SimpleCommand[]): Word {
    let text = '';
    let pattern = '';
    let isPattern = false;
    let isBraced = false;
    const add = (literal: string): void => {
      text += literal;
      pattern += literal.replaceAll(/[*?[\]\\]/g, '\\$&');
    };
    const before = this.#commands;
    this.#commands = inner;
    for (let next = this.#peek(); next !== '' && !WORD_END.test(next); next = this.#peek()) {
      switch (next) {
        case "'":
          add(this.#readSingleQuoted());
          break;
        case '"':
          this.#take(1);
          add(this.#readExpanding('"'));
          break;
        case '\\':
          this.#take(1);
          add(this.#takeRaw());
          break;
        case '$':
        case '`':
          add(this.#readExpansion(false));
          break;
        case '*':
        case '?':
        case '[':
          // `[` alone is a program, and without its other half it is itself.
          if (next === '[' && !/^\[[^ \t\n;&|<>()]*\]/.test(this.#text.slice(this.#at, this.#at + 256))) {
            add(this.#take(1));
            break;
          }
          isPattern = true;
          text += OPEN;
          pattern += this.#take(1);
          break;
        case '{':
          isBraced = true;
          add(this.#take(1));
          break;
        default:
          add(this.#take(1));
      }
    }
    this.#commands = before;
    // Of bash: one word becomes several.
    if (isBraced && /\{.*(,|\.\.).*\}/s.test(text)) return { text: UNKNOWN };
    return isPattern ? { text, pattern } : { text };
  }

  #readSingleQuoted(): string {
    const end = this.#text.indexOf("'", this.#at + 1);
    if (end === -1) throw new NotUnderstood("a ' is not closed");
    const text = this.#text.slice(this.#at + 1, end);
    this.#at = end + 1;
    return text;
  }

  /** Reads text in which `$` and backquotes count. @param end the quote that closes it, `''` for the end of everything */
  #readExpanding(end: '"' | ''): string {
    let text = '';
    for (;;) {
      const next = this.#peek();
      if (next === '') {
        if (end === '') return text;
        throw new NotUnderstood('a " is not closed');
      }
      if (next === end) {
        this.#take(1);
        return text;
      }
      if (next === '\\') {
        this.#take(1);
        const escaped = this.#takeRaw();
        text += /["$`\\]/.test(escaped) ? escaped : `\\${escaped}`;
      } else if (next === '$' || next === '`') text += this.#readExpansion(true);
      else text += this.#take(1);
    }
  }

  /** @param isQuoted in double quotes, where `$'` means nothing @returns UNKNOWN, or the `$` that was none */
  #readExpansion(isQuoted: boolean): string {
    this.#deeper();
    const text = this.#readAnyExpansion(isQuoted);
    this.#depth--;
    return text;
  }

  #readAnyExpansion(isQuoted: boolean): string {
    if (this.#peek() === '`') {
      this.#take(1);
      let script = '';
      for (;;) {
        const next = this.#takeRaw();
        if (next === '') throw new NotUnderstood('a ` is not closed');
        if (next === '`') break;
        if (next !== '\\') script += next;
        else {
          const escaped = this.#takeRaw();
          script += /[`$\\]/.test(escaped) || (isQuoted && escaped === '"') ? escaped : `\\${escaped}`;
        }
      }
      this.#commands.push(...new ShellReader(script, this.#depth).readAll());
      return UNKNOWN;
    }
    this.#take(1);
    const next = this.#peek();
    if (this.#startsWith('((')) {
      this.#take(2);
      this.#readNested('(', ')', true);
      this.#expect(')');
      return UNKNOWN;
    }
    if (next === '(') {
      this.#take(1);
      const reader = new ShellReader(this.#text.slice(this.#at), this.#depth);
      reader.#readList(() => false);
      if (reader.#peek() !== ')') throw new NotUnderstood('a $( is not closed');
      if (reader.#awaited.length > 0) throw new NotUnderstood('a text to be fed in does not begin');
      this.#commands.push(...reader.#commands);
      this.#at += reader.#at + 1;
      return UNKNOWN;
    }
    if (next === '{') {
      this.#take(1);
      this.#readNested('{', '}', isQuoted);
      return UNKNOWN;
    }
    if (/[A-Za-z_]/.test(next)) {
      while (/[A-Za-z0-9_]/.test(this.#peek())) this.#take(1);
      return UNKNOWN;
    }
    if (next !== '' && /[0-9@*#?$!-]/.test(next)) {
      this.#take(1);
      return UNKNOWN;
    }
    if (!isQuoted && (next === "'" || next === '"')) throw new NotUnderstood(`$${next} is no part of a plain shell`);
    return '$';
  }

  /** Reads on to the bracket that closes, substitutions on the way included. @param isQuoted single quotes mean nothing in it */
  #readNested(open: string, close: string, isQuoted: boolean): void {
    for (let depth = 1; depth > 0; ) {
      const next = this.#peek();
      if (next === '') throw new NotUnderstood(`a $${open} is not closed`);
      if (next === '$' || next === '`') this.#readExpansion(isQuoted);
      else if (next === "'" && !isQuoted) this.#readSingleQuoted();
      else if (next === '"') {
        this.#take(1);
        this.#readExpanding('"');
      } else {
        this.#take(1);
        if (next === '\\') this.#takeRaw();
        if (next === open) depth++;
        if (next === close) depth--;
      }
    }
  }

  /** Skips blanks and comments, and line ends where those mean nothing. */
  #skip(withLines: boolean): void {
    for (;;) {
      const next = this.#peek();
      if (next !== '' && BLANK.test(next)) this.#take(1);
      else if (next === '#') while (this.#text[this.#at] !== undefined && this.#text[this.#at] !== '\n') this.#at++;
      else if (next === '\n' && withLines) {
        this.#take(1);
        this.#readBodies();
      } else return;
    }
  }

  /** @returns the word that stands here if it has no quotes and no expansions: only such a one is reserved */
  #peekReserved(): string {
    this.#peek();
    return /^[^ \t\n;&|<>()'"\\$`]+(?=[ \t\n;&|<>()]|$)/.exec(this.#text.slice(this.#at, this.#at + 32))?.[0] ?? '';
  }

  #startsWith(text: string): boolean {
    this.#peek();
    return this.#text.startsWith(text, this.#at);
  }

  #expect(text: string): void {
    if (!this.#startsWith(text)) throw new NotUnderstood(`${text} is missing`);
    this.#take(text.length);
  }

  /** A line end behind a backslash is none. */
  #peek(): string {
    while (this.#text.startsWith('\\\n', this.#at)) this.#at += 2;
    return this.#text[this.#at] ?? '';
  }

  #take(count: number): string {
    this.#peek();
    const taken = this.#text.slice(this.#at, this.#at + count);
    this.#at += count;
    return taken;
  }

  #takeRaw(): string {
    return this.#text[this.#at++] ?? '';
  }
}
