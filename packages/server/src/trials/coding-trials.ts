import { randomUUID } from 'node:crypto';
import { beginConversation, type Conversation } from '@helixcode/agent/conversation';
import { nextStep } from '@helixcode/agent/loop';
import { systemPrompt } from '@helixcode/agent/system-prompt';
import { takeOutcome } from '@helixcode/agent/take-outcome';
import type { AgentHost } from '@helixcode/agent/tools/agent-host';
import { runCall } from '@helixcode/agent/tools/run-call';
import type { Workspace } from '@helixcode/agent/workspace';
import { collect } from '@helixcode/llm/model-port';
import type { Candidate, Trial, Verdict } from '@helixcode/llm/trials/trial';
import type { UserId } from '@helixcode/protocol/ids';
import { CODING_TASKS, type CodingTask } from './coding-tasks.ts';
import { createMemoryWorkspace } from './memory-workspace.ts';
import type { CommandResult, CommandRunner, FileTree } from './run-on-worker.ts';

/** A small task needs a few turns; a model that needs more has lost its way. */
const LIMITS = { turns: 25, wallMs: 900_000 };
const TEST_TIMEOUT_MS = 60_000;
/** Of a model whose context nobody knows. */
const USUAL_CONTEXT_TOKENS = 32_000;
/** What needs no project, no person and no other agent. */
const TOOLS = new Set(['read', 'list', 'search', 'edit', 'apply_patch', 'write', 'shell']);
const HIDDEN_TEST = 'hidden.test.mjs';

/**
 * Programming: the agent's loop works on a few files with its own tools, and hidden tests decide. All commands, those of the model and the tests,
 * are tasks on workers.
 */
export function codingTrials(commands: CommandRunner, user: UserId): Trial[] {
  return CODING_TASKS.map((task) => ({
    name: task.name,
    async run(candidate) {
      // Before the model is paid for work that could not be judged.
      await commands.findWorker(candidate.signal);
      const run = (
        order: { files: FileTree; command: string; folder: string; timeoutMs: number },
        signal: AbortSignal,
      ): Promise<CommandResult> => commands.run({ ...order, name: `model suite: ${task.name}` }, user, signal);
      const begun = new Map(Object.entries(task.files).map(([name, content]) => [name, Buffer.from(content)]));
      const workspace = createMemoryWorkspace(begun, run);
      const { toolCalls, stopped } = await work(task, candidate, workspace);

      // Only who ran all of the test knows the word at its end: a program that ends the process early has not passed.
      const word = randomUUID();
      const test = Buffer.from(`${task.hiddenTest}console.log(${JSON.stringify(word)});\n`);
      const files = new Map([...workspace.files(), [HIDDEN_TEST, test]]);
      const { exitCode, output } = await run(
        { files, command: `node ${HIDDEN_TEST}`, folder: '', timeoutMs: TEST_TIMEOUT_MS },
        candidate.signal,
      );
      const isPassed = exitCode === 0 && output.toString().includes(word);
      return { problem: isPassed ? undefined : `${stopped ?? ''}${tellFailure(exitCode, output.toString())}`, toolCalls };
    },
  }));
}

/** The loop from the goal to the last word, or to where it would have to ask a person. */
async function work(
  { goal }: CodingTask,
  { port, model, signal }: Candidate,
  workspace: Workspace,
): Promise<Required<Pick<Verdict, 'toolCalls'>> & { stopped: string | undefined }> {
  const toolCalls = { made: 0, wellFormed: 0 };
  const { contextTokens = USUAL_CONTEXT_TOKENS } = port.capabilities(model);
  let conversation = beginConversation({
    goal,
    mode: 'work',
    model,
    system: systemPrompt('work'),
    contextTokens,
    demand: { commands: [] },
    limits: LIMITS,
    instructedFolders: [''],
    atMs: Date.now(),
  });
  const { settings } = conversation;
  conversation = { ...conversation, settings: { ...settings, tools: settings.tools.filter(({ name }) => TOOLS.has(name)) } };
  const take = (outcome: Parameters<typeof takeOutcome>[1]): Conversation => (conversation = takeOutcome(conversation, outcome));

  for (;;) {
    signal.throwIfAborted();
    const step = nextStep(conversation, Date.now());
    switch (step.do) {
      case 'done':
        return { toolCalls, stopped: undefined };
      case 'park':
        return { toolCalls, stopped: `${step.reason.message}; ` };
      case 'learn':
      case 'verify':
        throw new Error(`a trial came to ${step.do}, which it has no use for`);
      case 'call_model': {
        const { ending, message, usage, costUsd } = await collect(port.stream(step.request, signal));
        const answer = { ending, message, usage, costUsd };
        if (step.purpose === 'summary') take({ type: 'summed_up', cut: step.cut, answer, atMs: Date.now() });
        else {
          const calls = message.parts.filter(({ type }) => type === 'tool_call').length;
          take({ type: 'model_answered', basis: step.basis, answer, atMs: Date.now() });
          toolCalls.made += calls;
          // What is wrong with a call on its face is told at once, all others wait to be made.
          toolCalls.wellFormed += conversation.calls.filter(({ state }) => state === 'waiting').length;
        }
        break;
      }
      case 'run_tools': {
        take({ type: 'tools_started', callIds: step.calls.map(({ callId }) => callId), atMs: Date.now() });
        for (const call of step.calls) {
          const { seen, instructedFolders } = conversation;
          const outcome = await runCall(call, { workspace, host: NOBODY, seen, instructedFolders, isPlanning: false, signal });
          take({ type: 'tool_finished', callId: call.callId, outcome, atMs: Date.now() });
        }
      }
    }
  }
}

/** Nobody is around: the tools that would ask for somebody are not given. */
const NOBODY: AgentHost = {
  runTests: () => nobody(),
  showPlan: () => nobody(),
  ask: () => nobody(),
  spawn: () => nobody(),
};

function nobody(): never {
  throw new Error('a trial has no host');
}

function tellFailure(exitCode: number | undefined, output: string): string {
  if (exitCode === undefined) return 'the hidden tests took too long';
  const [first = 'they did not come to their end'] = output.split('\n').filter((line) => /Error|error/.test(line));
  return `the hidden tests fail: ${first.trim().slice(0, 300)}`;
}
