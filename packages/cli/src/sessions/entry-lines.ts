import type { SessionEntryView } from '@helixcode/protocol/api/session-views';
import type { ErrorFact } from '@helixcode/protocol/errors';
import type { Style } from '../output/style.ts';
import { oneLine, severalLines } from '../output/text-width.ts';
import { callLine, finishedCallLine, type ToolCall } from './call-line.ts';

/** Reads a conversation, entry by entry, as a person follows it. */
export interface EntryReader {
  /** The entry as lines, none where it is not worth one. A call has one line, when it is over. */
  read(entry: SessionEntryView): string[];
  /** What is being done after the newest entry. */
  doing(): string;
  /** Why it stopped by itself last, as long as nobody let it go on. */
  parkedBecause(): SessionEntryView['failure'];
}

/** Begins every answer that no model gave. */
const REPLAYED = '[replayed]';

/** @param mostLines of one text; more are counted */
export function createEntryReader(style: Style, mostLines = Number.MAX_SAFE_INTEGER): EntryReader {
  /** Of the newest answer, as long as they have no result. */
  const open = new Map<string, ToolCall>();
  let startedMs: number | undefined;
  let doing = 'beginning';
  let parkedBecause: SessionEntryView['failure'];

  const lines = (text: string): string[] => {
    const all = severalLines(text.trim());
    if (all.length <= mostLines) return all;
    return [...all.slice(0, mostLines), style.dim(`${style.glyphs.ellipsis} ${all.length - mostLines} more lines`)];
  };
  const said = (text: string): string[] => lines(text).map((line) => style.bold(`> ${line}`));
  const failed = (what: string, failure: Pick<ErrorFact, 'message' | 'next'> & { code: string }): string[] => [
    style.yellow(`${what}: ${oneLine(failure.message)} (${oneLine(failure.code)})`),
    ...(failure.next === undefined ? [] : [style.dim(`next: ${oneLine(failure.next)}`)]),
  ];

  const answer = ({ text = '', calls = [], replayed }: SessionEntryView): string[] => {
    const undone = [...open.values()].map((call) => `  ${callLine(call)} → ${style.red('not done')}`);
    open.clear();
    for (const { callId, tool, input } of calls) open.set(callId, { tool, input });
    doing = calls.length === 0 ? 'checking what it did' : 'thinking';
    const words = text.trim() === '' ? [] : lines(text);
    if (!replayed) return [...undone, ...words];
    const [first = calls.map(({ tool }) => oneLine(tool)).join(', '), ...rest] = words;
    return [...undone, `${style.yellow(REPLAYED)} ${first}`.trimEnd(), ...rest];
  };

  const finish = (entry: SessionEntryView): string[] => {
    const { callId = '', tool = 'tool', text = '', isError = false, at } = entry;
    const call = open.get(callId) ?? { tool, input: {} };
    open.delete(callId);
    const next = open.values().next().value;
    doing = next === undefined ? 'thinking' : callLine(next);
    if (entry.type === 'tool_unknown')
      return [`  ${callLine(call)} → ${style.yellow(`nobody knows what came of it${text === '' ? '' : `: ${oneLine(text)}`}`)}`];
    const ms = startedMs === undefined ? undefined : Math.max(0, Date.parse(at) - startedMs);
    return [`  ${finishedCallLine(call, { text, isError, ms }, style)}`];
  };

  return {
    doing: () => doing,
    parkedBecause: () => parkedBecause,
    read(entry) {
      const { text = '', failure } = entry;
      switch (entry.type) {
        case 'began':
          doing = 'thinking';
          return said(text);
        case 'person_said':
          doing = 'thinking';
          parkedBecause = undefined;
          return said(text);
        case 'model_answered':
          return answer(entry);
        case 'model_failed':
          return failure === undefined ? [] : failed('the model failed', failure);
        case 'tools_started': {
          startedMs = Date.parse(entry.at);
          const first = open.values().next().value;
          if (first !== undefined) doing = callLine(first);
          return [];
        }
        case 'tool_finished':
        case 'tool_unknown':
          return finish(entry);
        case 'summed_up':
          return [style.dim(`the conversation was summed up, to make room${entry.replayed ? ` ${REPLAYED}` : ''}`)];
        case 'evidence_given':
          doing = 'thinking';
          return (entry.receipts ?? []).map(({ id, command, exitCode }) => {
            const ending = exitCode === 0 ? style.green('exit 0') : style.red(`exit ${exitCode}`);
            return `  check ${oneLine(command)} → ${ending} ${style.dim(id)}`;
          });
        case 'parked':
          parkedBecause = failure;
          doing = 'parked';
          return failure === undefined ? [style.yellow('parked')] : failed('parked', failure);
        case 'resumed':
          parkedBecause = undefined;
          doing = 'thinking';
          return [style.dim('it goes on')];
      }
    },
  };
}
