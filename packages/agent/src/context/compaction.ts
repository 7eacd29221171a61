import type { Message } from '@helixcode/llm/model-port';
import { textOf } from '@helixcode/llm/model-port';
import { type Entry, messagesOf, said } from './entry.ts';
import { messageTokens } from './token-estimate.ts';

/** Share of the context at which the older part of a conversation is summed up. */
export const COMPACT_FROM = 0.8;
/** Share of the context that the newest part may fill; it is kept as it is. */
const KEPT_SHARE = 0.25;
/** A summary that saves less is not worth the loss. */
const WORTH_SHARE = 0.9;
/** Of each result, for the one who writes the summary. */
const RESULT_CHARACTERS = 2_000;

const INSTRUCTION = `You sum up the work of a coding agent for the agent itself, which will go on from your summary and its newest steps alone.
Write, under these headings, what is true and will be needed, with exact names, paths, commands and error texts:
## Done
## Found out
## Decided, and why
## Files read and changed
## Open, and what comes next
What people said is kept word for word beside the summary: do not repeat it. Claim nothing that the steps do not show: an outcome that is unknown stays unknown.`;

const HEADING = 'Summary of the earlier steps, which are no longer shown:';

/** Where the kept part begins, and what a model is asked so that the rest can go. */
export interface CompactionOrder {
  /** Entries before it are summed up. */
  cut: number;
  messages: Message[];
}

/**
 * Divides a conversation into what is summed up and what is kept. The kept part begins with an answer of the model or with what it was told, never with the
 * results of calls whose answer would be gone.
 *
 * @returns `undefined` where there is nothing to sum up
 */
export function orderCompaction(entries: readonly Entry[], contextTokens: number): CompactionOrder | undefined {
  // Half of all where the vendor takes less than it is known to take.
  const room = Math.min(contextTokens * KEPT_SHARE, messageTokens(entries.map(({ message }) => message)) / 2);
  let cut = entries.length;
  let tokens = 0;
  for (let at = entries.length - 1; at > 0; at--) {
    tokens += messageTokens([(entries[at] as Entry).message]);
    if (tokens > room) break;
    if (entries[at]?.from !== 'tools') cut = at;
  }
  // The newest answer and its results stay together even where they alone are more than the room.
  if (cut === entries.length) cut = entries.findLastIndex(({ from }) => from === 'model');
  const older = entries.slice(0, Math.max(0, cut));
  if (!older.some(({ from }) => from === 'model')) return undefined;
  return {
    cut,
    messages: [
      { role: 'system', text: INSTRUCTION },
      { role: 'user', parts: [{ type: 'text', text: `The steps:\n\n${older.map(tell).join('\n\n')}\n\nWrite the summary.` }] },
    ],
  };
}

/**
 * The conversation after it was summed up: what people said before the cut, word for word; the summary; the newest part as it was.
 *
 * @returns `undefined` where the summary is empty, or did not make the conversation shorter
 */
export function compact(entries: readonly Entry[], cut: number, summary: string): Entry[] | undefined {
  if (summary.trim() === '') return undefined;
  const people = entries.slice(0, cut).filter(({ from }) => from === 'person');
  const shorter = [...people, said('summary', `${HEADING}\n${summary.trim()}`), ...entries.slice(cut)];
  const isWorth = messageTokens(messagesOf(shorter)) < messageTokens(messagesOf(entries)) * WORTH_SHARE;
  return isWorth ? shorter : undefined;
}

function tell(entry: Entry): string {
  switch (entry.from) {
    case 'person':
    case 'harness':
    case 'summary': {
      const text = entry.message.parts.map((part) => (part.type === 'text' ? part.text : '(an image)')).join('\n');
      return `[${entry.from === 'person' ? 'a person said' : entry.from === 'summary' ? 'an earlier summary' : 'the agent was told'}]\n${cut(text)}`;
    }
    case 'model': {
      const calls = entry.message.parts.flatMap((part) => (part.type === 'tool_call' ? [`${part.tool} ${cut(part.argumentsText)}`] : []));
      return `[the agent]\n${[textOf(entry.message), ...calls].filter((text) => text !== '').join('\n')}`;
    }
    case 'tools':
      return entry.message.results
        .map(({ tool, isError, parts }) => {
          const text = parts.map((part) => (part.type === 'text' ? part.text : '(an image)')).join('\n');
          return `[${tool}${isError ? ', failed' : ''}]\n${cut(text)}`;
        })
        .join('\n');
  }
}

function cut(text: string): string {
  if (text.length <= RESULT_CHARACTERS) return text;
  return `${text.slice(0, RESULT_CHARACTERS * 0.6).toWellFormed()} […] ${text.slice(-RESULT_CHARACTERS * 0.4).toWellFormed()}`;
}
