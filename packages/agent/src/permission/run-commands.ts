import { OPEN, parseShell, type SimpleCommand, UNKNOWN, type Word } from './parse-shell.ts';

/** A command as the system will run it: the programs that only run others are taken away. */
export interface RunCommand {
  /** Name of the program, without its folder. `UNKNOWN` where only the shell will know it. */
  program: string;
  /** The program and its arguments. */
  words: Word[];
  assignments: Word[];
  redirections: SimpleCommand['redirections'];
  isFed: boolean;
}

/** Why something cannot be told in advance. */
export interface Unclear {
  problem: string;
}

export const SHELLS = new Set(['sh', 'bash', 'dash', 'ash', 'zsh', 'ksh', 'mksh', 'rbash', 'fish']);

/** Options of programs that run another one: those that take the next word. What is behind them is the other program. */
const RUNNERS: Record<string, { withValue?: string[]; wordsBefore?: number }> = {
  builtin: {},
  busybox: {},
  chrt: { withValue: ['-p', '-T', '-P', '-D'], wordsBefore: 1 },
  command: {},
  doas: { withValue: ['-u', '-C'] },
  env: { withValue: ['-u', '--unset', '-C', '--chdir'] },
  exec: { withValue: ['-a'] },
  fakeroot: {},
  ionice: { withValue: ['-c', '-n', '-p', '--class', '--classdata'] },
  nice: { withValue: ['-n', '--adjustment'] },
  nohup: {},
  setsid: {},
  stdbuf: { withValue: ['-i', '-o', '-e', '--input', '--output', '--error'] },
  strace: { withValue: ['-e', '-o', '-p', '-s', '-u', '-E', '-P', '-a', '-b', '-I', '-O', '-S', '-X'] },
  sudo: { withValue: ['-u', '-g', '-h', '-p', '-C', '-T', '-U', '-D', '-R', '-r', '-t'] },
  taskset: { wordsBefore: 1 },
  time: { withValue: ['-f', '-o', '--format', '--output'] },
  timeout: { withValue: ['-s', '-k', '--signal', '--kill-after'], wordsBefore: 1 },
  unbuffer: {},
  xargs: {
    withValue: [
      '-a',
      '-d',
      '-E',
      '-I',
      '-L',
      '-n',
      '-P',
      '-s',
      '--arg-file',
      '--delimiter',
      '--max-args',
      '--max-procs',
      '--max-lines',
      '--max-chars',
    ],
  },
};

/** Programs that run another one in ways that are not read here. */
const OPAQUE = new Set([
  'eval',
  'alias',
  'parallel',
  'ssh',
  'watch',
  'flock',
  'script',
  'chroot',
  'nsenter',
  'unshare',
  'bwrap',
  'at',
  'batch',
  'crontab',
  'systemd-run',
  'screen',
  'tmux',
  'expect',
  'entr',
  'mosh',
  'runcon',
  'capsh',
  'setpriv',
  'source-highlight',
]);

const DEEPEST = 12;

/**
 * What a script runs, as far as it can be told: scripts within scripts (`sh -c`, `find -exec`, `trap`) are read too.
 *
 * @returns every command that can be told, and what cannot
 */
export function commandsOf(script: string, depth = 0): { commands: RunCommand[]; unclear: Unclear[] } {
  const parsed = depth > DEEPEST ? { problem: 'it is nested too deeply' } : parseShell(script);
  if ('problem' in parsed) return { commands: [], unclear: [{ problem: `it could not be read: ${parsed.problem}` }] };
  const found: { commands: RunCommand[]; unclear: Unclear[] } = { commands: [], unclear: [] };
  for (const command of parsed.commands) unwrap(command, depth, found);
  return found;
}

function unwrap(command: SimpleCommand, depth: number, found: { commands: RunCommand[]; unclear: Unclear[] }): void {
  const [first, ...rest] = command.words;
  const program = first === undefined ? '' : isUnknown(first.text) ? UNKNOWN : (first.text.split('/').at(-1) ?? '');
  // What runs others is itself run, and a rule may speak of it.
  found.commands.push({ ...command, program });
  if (first === undefined) return;
  if (program === UNKNOWN) found.unclear.push({ problem: 'which program it runs is only known when it runs' });
  const inner = (words: Word[]): void => {
    if (depth > DEEPEST) found.unclear.push({ problem: 'it is nested too deeply' });
    else if (words.length > 0) unwrap({ ...command, words }, depth + 1, found);
  };
  const script = (text: string): void => {
    if (isUnknown(text)) return void found.unclear.push({ problem: `the script of ${program} is only known when it runs` });
    const { commands, unclear } = commandsOf(text, depth + 1);
    found.commands.push(...commands);
    found.unclear.push(...unclear);
  };

  if (OPAQUE.has(program)) found.unclear.push({ problem: `what ${program} runs cannot be told` });
  else if (SHELLS.has(program)) readShell(program, rest, command, script, found);
  else if (program === 'find' || program === 'fd') {
    rest.forEach(({ text }, at) => {
      if (!/^(-exec|-execdir|-ok|-okdir|-x|-X|--exec|--exec-batch)$/.test(text)) return;
      const behind = rest.slice(at + 1);
      const end = behind.findIndex((word) => word.text === ';' || word.text === '+');
      inner((end === -1 ? behind : behind.slice(0, end)).map((word) => ({ ...word, text: word.text.replaceAll('{}', UNKNOWN) })));
    });
  } else if (program === 'trap') {
    const handler = rest.find(({ text }) => !text.startsWith('-'));
    if (handler !== undefined && rest.length > 1) script(handler.text);
  } else if (program === 'git') readGit(rest, inner, script);
  else if (program === 'env' && rest.some(({ text }) => /^(-[a-z]*S|--split-string)/.test(text)))
    found.unclear.push({ problem: 'what env -S runs cannot be told' });
  else {
    const runner = Object.hasOwn(RUNNERS, program) ? RUNNERS[program] : undefined;
    if (runner === undefined) return;
    const behind = behindOptions(rest, runner);
    if (program !== 'xargs') return inner(behind);
    const option = rest.findIndex(({ text }) => text === '-I');
    const placeholder = (option === -1 ? undefined : rest[option + 1]?.text) || '{}';
    const given = behind.map((word) => ({ ...word, text: word.text.replaceAll(placeholder, UNKNOWN) }));
    if (given.length > 0) inner([...given, { text: UNKNOWN }]);
  }
}

function behindOptions(words: Word[], { withValue = [], wordsBefore = 0 }: { withValue?: string[]; wordsBefore?: number }): Word[] {
  let at = 0;
  for (; at < words.length; at++) {
    const text = words[at]?.text ?? '';
    if (text === '--') {
      at++;
      break;
    }
    if (withValue.includes(text)) at++;
    else if (!text.startsWith('-') && !/^[A-Za-z_][A-Za-z0-9_]*=/.test(text)) break;
  }
  return words.slice(at + wordsBefore);
}

function readShell(
  program: string,
  args: Word[],
  command: SimpleCommand,
  script: (text: string) => void,
  found: { unclear: Unclear[] },
): void {
  let isScriptGiven = false;
  for (let at = 0; at < args.length; at++) {
    const { text } = args[at] ?? { text: '' };
    if (isUnknown(text)) return void found.unclear.push({ problem: `what ${program} runs is only known when it runs` });
    if (/^[-+][A-Za-z]*[oO]$/.test(text) || text === '--rcfile' || text === '--init-file') at++;
    else if (text === '-' || text === '-s' || text === '--') {
      if (text === '--' && isScriptGiven) continue;
      if (text !== '--') break;
    } else if (/^-[A-Za-z]*c[A-Za-z]*$/.test(text)) isScriptGiven = true;
    else if (/^[-+]/.test(text)) continue;
    else if (isScriptGiven) return script(text);
    else return; // A file: like any program of the workspace.
  }
  const fed = command.redirections.filter(({ operator }) => operator === '<<');
  if (fed.length > 0) for (const { target } of fed) script(target.text);
  else if (command.isFed || command.redirections.some(({ operator }) => operator.startsWith('<')))
    found.unclear.push({ problem: `${program} runs what it is fed with` });
}

/** Commands of git that run others. */
function readGit(args: Word[], inner: (words: Word[]) => void, script: (text: string) => void): void {
  const texts = args.map(({ text }) => text);
  const at = (name: string): number => texts.indexOf(name);
  if (at('bisect') !== -1 && at('run') > at('bisect')) inner(args.slice(at('run') + 1));
  if (at('foreach') > at('submodule') && at('submodule') !== -1)
    script(
      texts
        .slice(at('foreach') + 1)
        .filter((text) => !text.startsWith('-'))
        .join(' '),
    );
  if (at('rebase') !== -1)
    texts.forEach((text, index) => {
      if (text === '-x' || text === '--exec') script(texts[index + 1] ?? '');
      else if (text.startsWith('--exec=')) script(text.slice('--exec='.length));
    });
}

export function isUnknown(text: string): boolean {
  return text.includes(UNKNOWN) || text.includes(OPEN);
}

/** Whether a program only runs another one, which is judged by itself. */
export function isTransparent(program: string): boolean {
  return Object.hasOwn(RUNNERS, program);
}
