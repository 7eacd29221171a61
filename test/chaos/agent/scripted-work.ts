import type { AskedOfModel, Said } from '../../support/model-server.ts';
import { shellWord } from '../shell-word.ts';

/** The files that every run begins with. */
export const FIRST_FILES: Record<string, string> = {
  'src/a.txt': 'a is 0\n',
  'src/c.txt': 'c is 0\n',
  'src/old.txt': 'old\n',
  'src/away.txt': 'moved later\n',
  'log.txt': '',
  'verify.sh': 'set -e\ngrep -qx "a is 2" src/a.txt\ngrep -qx "b is 1" src/b.txt\ntest "$(wc -l <log.txt)" = 4\n',
};
/** What must pass at the end. */
export const VERIFY = 'sh verify.sh';
const BIG = Array.from({ length: 2_000 }, (_, line) => `line ${line}\n`).join('');
/** How a result begins that was not had. */
const UNKNOWN = 'The outcome of this call is unknown';

type Call = NonNullable<Said['calls']>[number];

/** One turn of the work: what it asks for, and how it finds out whether that was done when nobody can say. */
type Step =
  | { does: 'looks'; calls: Call[] }
  /** `holds`: what the file says once it is done. */
  | { does: 'changes'; path: string; call: Call; holds: string }
  /** It leaves a mark outside of the checkout, then does its work and leaves the same mark in the log of the checkout. */
  | { does: 'runs'; mark: string; work: string; pauseMs: number };

/** One agent's work of twelve turns: looks, edits, writes and commands, four of which leave a mark where no crash reaches. */
export interface ScriptedWork {
  goal: string;
  /** The marks that its commands leave in `counter`. */
  marks: readonly string[];
  /** What the files must be at the end. */
  files: Readonly<Record<string, string>>;
  /**
   * What the model says next. It follows from the conversation alone: a step whose outcome is unknown is looked at, and only what is missing is done again.
   *
   * @param note put into the answer, to tell it from others
   */
  sayNext(messages: AskedOfModel['messages'], note: string): Said;
  /** Turns that it takes when nothing goes wrong. */
  turns: number;
}

/** @param counter file outside of the checkouts to which commands append their marks */
export function scriptedWork(name: string, counter: string): ScriptedWork {
  const mark = (n: number): string => `${name}-${n}`;
  const steps: Step[] = [
    { does: 'looks', calls: [{ tool: 'read', input: { path: 'src/a.txt' } }] },
    change('src/a.txt', 'a is 0', 'a is 1'),
    { does: 'runs', mark: mark(1), work: 'sed -i "s/c is 0/c is 1/" src/c.txt', pauseMs: 0 },
    { does: 'changes', path: 'src/b.txt', call: { tool: 'write', input: { path: 'src/b.txt', content: 'b is 0\n' } }, holds: 'b is 0' },
    { does: 'runs', mark: mark(2), work: 'rm -f src/old.txt', pauseMs: 400 },
    change('src/b.txt', 'b is 0', 'b is 1'),
    {
      does: 'looks',
      calls: [
        { tool: 'search', input: { pattern: 'is 1' } },
        { tool: 'list', input: { path: 'src' } },
      ],
    },
    { does: 'runs', mark: mark(3), work: 'mkdir -p deep/er; mv -f src/away.txt deep/er/there.txt || true', pauseMs: 200 },
    { does: 'changes', path: 'big.txt', call: { tool: 'write', input: { path: 'big.txt', content: BIG } }, holds: 'line 1999' },
    change('src/a.txt', 'a is 1', 'a is 2'),
    { does: 'runs', mark: mark(4), work: 'cat src/a.txt src/b.txt >src/both.txt', pauseMs: 0 },
    { does: 'looks', calls: [{ tool: 'read', input: { path: 'log.txt' } }] },
  ];
  const { 'src/old.txt': _, 'src/away.txt': moved = '', ...rest } = FIRST_FILES;
  const marks = [1, 2, 3, 4].map(mark);
  return {
    goal: `the work of ${name}`,
    marks,
    turns: steps.length + 1,
    files: {
      ...rest,
      'src/a.txt': 'a is 2\n',
      'src/b.txt': 'b is 1\n',
      'src/c.txt': 'c is 1\n',
      'src/both.txt': 'a is 2\nb is 1\n',
      'deep/er/there.txt': moved,
      'big.txt': BIG,
      'log.txt': marks.map((one) => `${one}\n`).join(''),
    },
    sayNext(messages, note) {
      const calls = nextCalls(steps, resultsOf(messages), counter);
      return calls === undefined ? { text: `It is done. ${note}` } : { text: note, calls };
    },
  };
}

function change(path: string, old: string, now: string): Step {
  return { does: 'changes', path, call: { tool: 'edit', input: { path, old, new: now } }, holds: now };
}

/** The texts of the results after each answer that asked for something. */
function resultsOf(messages: AskedOfModel['messages']): string[][] {
  const rounds: string[][] = [];
  for (const { role, content } of messages) {
    if (role === 'assistant') rounds.push([]);
    else if (role === 'tool') rounds.at(-1)?.push(typeof content === 'string' ? content : JSON.stringify(content));
  }
  return rounds.filter((round) => round.length > 0);
}

/** @returns `undefined` when all is done */
function nextCalls(steps: readonly Step[], rounds: readonly string[][], counter: string): Call[] | undefined {
  let at = 0;
  let calls = steps[0] && callsOf(steps[0], counter);
  let isCheck = false;
  for (const texts of rounds) {
    const step = steps[at];
    if (!step) break;
    const text = texts.join('\n');
    const isUnknown = text.includes(UNKNOWN);
    const next = (): void => {
      const following = steps[++at];
      calls = following && callsOf(following, counter);
      isCheck = false;
    };
    const check = (unsure: Exclude<Step, { does: 'looks' }>): void => {
      calls = [checkOf(unsure, counter)];
      isCheck = true;
    };
    const doNow = (again: Call[]): void => {
      calls = again;
      isCheck = false;
    };
    if (step.does === 'looks') {
      if (!isUnknown) next();
    } else if (!isCheck) {
      const isDone = step.does === 'runs' ? text.includes('[exit code 0]') : /^(edited|made|replaced)/.test(text);
      if (isDone && !isUnknown) next();
      else check(step);
    } else if (step.does === 'changes') {
      if (text.includes(step.holds)) next();
      else doNow(callsOf(step, counter));
    } else {
      const found = /marked=(\d+) logged=(\d+)/.exec(text);
      if (!found) check(step);
      else if (found[1] !== '0' && found[2] !== '0') next();
      else doNow([runOf(step, { counter: found[1] === '0' ? counter : undefined, isLogged: found[2] !== '0' })]);
    }
  }
  return calls;
}

function callsOf(step: Step, counter: string): Call[] {
  if (step.does === 'looks') return step.calls;
  return [step.does === 'changes' ? step.call : runOf(step, { counter, isLogged: false })];
}

function checkOf(step: Exclude<Step, { does: 'looks' }>, counter: string): Call {
  if (step.does === 'changes') return { tool: 'read', input: { path: step.path } };
  const count = (file: string): string => `$(grep -cx ${step.mark} ${file} 2>/dev/null || true)`;
  return { tool: 'shell', input: { command: `echo "marked=${count(shellWord(counter))} logged=${count('log.txt')}"` } };
}

/** @param missing `counter`: absent when the mark is there already */
function runOf(
  { mark, work, pauseMs }: Extract<Step, { does: 'runs' }>,
  missing: { counter: string | undefined; isLogged: boolean },
): Call {
  const parts = [
    ...(missing.counter === undefined ? [] : [`echo ${mark} >>${shellWord(missing.counter)}`]),
    ...(pauseMs > 0 ? [`sleep ${pauseMs / 1_000}`] : []),
    ...(missing.isLogged ? [] : [work, `echo ${mark} >>log.txt`]),
  ];
  return { tool: 'shell', input: { command: parts.join('; ') } };
}
