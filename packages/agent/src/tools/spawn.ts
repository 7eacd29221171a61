import { z } from 'zod';
import { boundText } from '../output/bound-output.ts';
import type { SubAgentReport } from './agent-host.ts';
import { defineTool } from './tool.ts';

export const spawn = defineTool({
  name: 'spawn',
  description: 'Give a separate piece of work to another agent with a copy of the files. It knows only the goal you write.',
  effect: 'host',
  input: z.strictObject({
    goal: z.string().min(1),
    minutes: z.number().positive().max(1_440),
    budgetUsd: z.number().positive().optional(),
  }),
  async run({ goal, minutes, budgetUsd }, { host, signal }) {
    const report = await host.spawn({ goal, minutes, ...(budgetUsd !== undefined && { budgetUsd }) }, signal);
    return { text: tellSubAgent(report), isError: report.ending !== 'done' };
  },
});

const ENDINGS: Record<SubAgentReport['ending'], string> = {
  done: 'is done',
  deadline: 'was stopped at its deadline; this is what it had',
  budget: 'was stopped at its budget; this is what it had',
  parked: 'is parked; this is what it had',
  failed: 'failed; this is what it had',
  cancelled: 'was cancelled; this is what it had',
};

/** The report of a sub-agent as its parent reads it. What an unfinished one had is kept, and called unfinished. */
export function tellSubAgent({ id, ending, text, changedFiles, reason }: SubAgentReport): string {
  return [
    `[agent ${id} ${ENDINGS[ending]}]`,
    ...(reason === undefined ? [] : [`reason: ${reason}`]),
    ...(changedFiles.length === 0 ? ['It changed no file.'] : [`It changed: ${changedFiles.join(', ')}`]),
    boundText(text).text,
  ].join('\n');
}
