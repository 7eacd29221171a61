import { proposeCompletions } from '@stricli/core';
import { buildApp } from './app.ts';
import { GLOBAL_FLAGS, takeGlobalFlags } from './global-flags.ts';
import { createContext, type HelixContext } from './helix-context.ts';

/** What may stand in place of the last of `words`: a line each, the completion and what it is, with a tab between. */
export async function completionsOf(words: readonly string[]): Promise<string> {
  const partial = words.at(-1) ?? '';
  const { flags, rest } = takeGlobalFlags(words.slice(0, -1));
  const app = buildApp({ color: false, onThrow() {} });
  const context: HelixContext = { ...createContext(flags, new AbortController().signal), async runAgain() {} };
  const lines = (await proposeCompletions(app, [...rest, partial], context)).map(({ completion, brief }) => [completion, brief] as const);
  if (partial.startsWith('--')) for (const flag of GLOBAL_FLAGS) if (flag.name.startsWith(partial)) lines.push([flag.name, flag.brief]);
  return lines.map(([completion, brief]) => `${completion}\t${brief}\n`).join('');
}
