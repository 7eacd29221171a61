import type { ToolSpec } from '@helixcode/llm/model-port';
import { applyPatch } from './apply-patch.ts';
import { ask } from './ask.ts';
import { edit } from './edit.ts';
import { list } from './list.ts';
import { plan } from './plan.ts';
import { read } from './read.ts';
import { runTests } from './run-tests.ts';
import { search } from './search.ts';
import { shell } from './shell.ts';
import { spawn } from './spawn.ts';
import type { Tool } from './tool.ts';
import { write } from './write.ts';

/** Every tool there is. */
export const TOOLS: readonly Tool[] = [read, list, search, edit, applyPatch, write, shell, runTests, plan, ask, spawn];

const BY_NAME = new Map(TOOLS.map((tool) => [tool.name, tool]));

/** What an agent is there for: to change files, or only to look and make a plan. */
export type AgentMode = 'work' | 'plan';

/** What looks, asks and plans, and can change nothing. */
const PLANNING = new Set(['read', 'list', 'search', 'plan', 'ask']);

export function findTool(name: string): Tool | undefined {
  return BY_NAME.get(name);
}

/**
 * The tools that a model is given. Those trained on patches get `apply_patch`, all others `edit`: two ways to do the same only mislead.
 *
 * @param model as its vendor names it
 */
export function toolSpecs(mode: AgentMode, model: string): ToolSpec[] {
  const unused = /(^|\/)(gpt-|codex|o\d)/i.test(model) ? 'edit' : 'apply_patch';
  return TOOLS.filter(({ name }) => (mode === 'plan' ? PLANNING.has(name) : name !== unused)).map(({ spec }) => spec);
}
