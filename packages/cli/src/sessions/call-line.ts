import { countOf, formatMs } from '../output/amounts.ts';
import type { Style } from '../output/style.ts';
import { fitText, oneLine } from '../output/text-width.ts';

/** What a model asked a tool for. */
export interface ToolCall {
  tool: string;
  input: unknown;
}

/** What came of it. `ms`: how long it took, where that is known. */
export interface CallResult {
  text: string;
  isError: boolean;
  ms: number | undefined;
}

const SUBJECT_CELLS = 100;
const RESULT_CELLS = 160;

/** A call on one line, as a person would say it: `read src/a.ts`, `shell npm test`. */
export function callLine({ tool, input }: ToolCall): string {
  const subject = fitText(oneLine(subjectOf(tool, isRecord(input) ? input : {})).trim(), SUBJECT_CELLS);
  return subject === '' ? oneLine(tool) : `${oneLine(tool)} ${subject}`;
}

/** The call and what came of it, where that is more than "done": `shell npm test → exit 1 (1.2 s)`. */
export function finishedCallLine(call: ToolCall, result: CallResult, style: Style): string {
  const said = resultOf(call.tool, result);
  const time = result.ms === undefined || !TAKES_TIME.has(call.tool) ? '' : ` (${formatMs(result.ms)})`;
  if (said === undefined) return `${callLine(call)}${time}`;
  const shown = fitText(oneLine(said), RESULT_CELLS);
  return `${callLine(call)} → ${result.isError ? style.red(shown) : shown}${time}`;
}

/** What runs elsewhere, or asks a person. The others are over before anybody looks. */
const TAKES_TIME = new Set(['shell', 'run_tests', 'spawn']);

function subjectOf(tool: string, input: Record<string, unknown>): string {
  const text = (key: string): string => (typeof input[key] === 'string' ? input[key] : '');
  switch (tool) {
    case 'list':
      return text('path') || '.';
    case 'search':
      return `${JSON.stringify(text('pattern'))}${text('path') === '' ? '' : ` in ${text('path')}`}${text('glob') === '' ? '' : ` (${text('glob')})`}`;
    case 'apply_patch':
      return [...text('patch').matchAll(/^\*\*\* (?:Add|Update|Delete) File: (.+)$/gm)].map(([, path]) => path?.trim()).join(', ');
    case 'run_tests':
      return Array.isArray(input.patterns) ? input.patterns.join(' ') : '';
    case 'plan':
      return Array.isArray(input.subtasks) ? `of ${countOf(input.subtasks.length, 'subtask')}` : '';
    default: {
      const named = ['path', 'command', 'question', 'goal'].map(text).find((value) => value !== '');
      return named ?? Object.values(input).find((value) => typeof value === 'string') ?? '';
    }
  }
}

/** The tools that run something say in their first line, between brackets, how it ended. */
function resultOf(tool: string, { text, isError }: CallResult): string | undefined {
  const first = text.trimStart().split('\n', 1)[0] ?? '';
  const bracketed = /^\[(.*)\]$/.exec(first)?.[1];
  switch (tool) {
    case 'shell': {
      if (bracketed === undefined) return first;
      // What a stopped command should have done is meant for the model.
      return bracketed.replace(/^exit code /, 'exit ').replace(/\. .*$/, '');
    }
    case 'run_tests':
      return bracketed === undefined ? first : (/^[^:]+: (.*)$/.exec(bracketed)?.[1] ?? bracketed);
    case 'spawn':
      return bracketed ?? first;
    case 'ask':
      return first.replace(/^A person answers: /, '');
    case 'plan':
      return first;
    default:
      return isError ? first : undefined;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
