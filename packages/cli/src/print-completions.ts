import { proposeCompletions } from '@stricli/core';
import { buildApp } from './app.ts';
import { GLOBAL_FLAGS, takeGlobalFlags } from './global-flags.ts';
import type { HelixContext } from './helix-context.ts';

/** Prints what may stand in place of the last of `words`: a line each, the completion and what it is, with a tab between. */
export async function printCompletions(words: readonly string[], context: HelixContext): Promise<void> {
  const partial = words.at(-1) ?? '';
  const { rest } = takeGlobalFlags(words.slice(0, -1));
  const proposals = await proposeCompletions(buildApp({ color: false, onThrow() {} }), [...rest, partial], context);
  const lines = proposals.map(({ completion, brief }) => [completion, brief] as const);
  if (partial.startsWith('--')) for (const flag of GLOBAL_FLAGS) if (flag.name.startsWith(partial)) lines.push([flag.name, flag.brief]);
  await context.out.write(lines.map(([completion, brief]) => `${completion}\t${brief}\n`).join(''));
}
