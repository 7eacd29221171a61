import { readInstructions } from '@helixcode/agent/context/instructions';
import { findSkills } from '@helixcode/agent/context/skills';
import { beginConversation, type Conversation } from '@helixcode/agent/conversation';
import { systemPrompt } from '@helixcode/agent/system-prompt';
import type { Workspace } from '@helixcode/agent/workspace';
import type { SessionStart } from '@helixcode/protocol/api/session-views';
import { CodedError } from '@helixcode/protocol/errors';
import type { ModelPurpose } from '@helixcode/protocol/model/model-purpose';
import type { SetupCommand } from '@helixcode/protocol/task/task-spec';
import { findRunner, runnerNamed } from '../tasks/testing/find-runner.ts';
import type { ProjectFiles } from '../tasks/testing/test-runner.ts';
import type { AgentDeps } from './agent-deps.ts';
import { commitWorkspace } from './commit-workspace.ts';
import { SUITE } from './verify.ts';

/** Of a model of which nobody says how much it reads. */
const USUAL_CONTEXT_TOKENS = 32_768;

/** The model that is asked first. @throws CodedError `model.not_configured`, `model.config_invalid` */
export async function firstModel(
  { gateway, providers }: Pick<AgentDeps, 'gateway' | 'providers'>,
  purpose: ModelPurpose,
  chosen: string | undefined,
): Promise<{ name: string; contextTokens: number; maxOutputTokens: number | undefined }> {
  const [name] = chosen === undefined ? gateway.modelsFor(purpose) : [chosen];
  if (name === undefined)
    throw new CodedError('model.not_configured', `no model is configured for ${purpose}`, {
      next: 'name one in providers.default of helix.json, or: helix run --model provider/model',
    });
  const { port, model } = await providers.target(name);
  const { contextTokens = USUAL_CONTEXT_TOKENS, maxOutputTokens } = port.capabilities(model);
  return { name, contextTokens, maxOutputTokens };
}

/** What is known of a project before anything is done in it. */
export interface ProjectFacts {
  setup: SetupCommand | undefined;
  hasTests: boolean;
}

/** How a checkout is made ready, and whether there are tests: from the files alone, unless it was said. */
export async function readProjectFacts(files: ProjectFiles, said: Pick<SessionStart, 'setup' | 'test'>): Promise<ProjectFacts> {
  const runner = said.test?.runner
    ? runnerNamed(said.test.runner)
    : await findRunner(files).catch((error: unknown) => {
        if (error instanceof CodedError && error.code === 'test.runner_unknown') return undefined;
        throw error;
      });
  const setup = said.setup === undefined ? await runner?.setup(files) : (said.setup ?? undefined);
  return { setup, hasTests: runner !== undefined };
}

/** The conversation as it begins. @throws CodedError `agent.message_too_large` */
export async function beginSession(
  start: SessionStart,
  model: { name: string; contextTokens: number; maxOutputTokens: number | undefined },
  files: ProjectFiles,
  verify: readonly string[],
): Promise<Conversation> {
  const workspace = commitWorkspace(files) as Workspace;
  const [instructions, skills] = await Promise.all([readInstructions(workspace, ''), findSkills(workspace)]);
  return beginConversation({
    goal: start.goal,
    mode: start.mode,
    model: model.name,
    system: systemPrompt(start.mode, { ...(instructions && { instructions }), skills }),
    contextTokens: model.contextTokens,
    demand: { commands: start.mode === 'plan' ? [] : [...verify] },
    ...(start.reasoning !== undefined && { reasoning: start.reasoning }),
    limits: {
      ...(start.turns !== undefined && { turns: start.turns }),
      ...(start.minutes !== undefined && { wallMs: Math.round(start.minutes * 60_000) }),
    },
    instructedFolders: [''],
    atMs: Date.now(),
  });
}

/** What must pass at the end: what was said, or the suite where there is one. */
export function verifyCommands(said: readonly string[] | undefined, { hasTests }: ProjectFacts): string[] {
  return said === undefined ? (hasTests ? [SUITE] : []) : [...said];
}
