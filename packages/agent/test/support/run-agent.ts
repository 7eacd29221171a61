import type { ModelPort, ModelRequest } from '@helixcode/llm/model-port';
import type { ErrorFact } from '@helixcode/protocol/errors';
import type { Conversation, Ending } from '../../src/conversation.ts';
import type { Receipt } from '../../src/evidence/receipt.ts';
import { nextStep } from '../../src/loop.ts';
import { type Outcome, takeOutcome } from '../../src/take-outcome.ts';
import type { AgentHost } from '../../src/tools/agent-host.ts';
import { runCall } from '../../src/tools/run-call.ts';
import type { LocalWorkspace } from './local-workspace.ts';
import { quietHost } from './quiet-host.ts';

export interface Surroundings {
  port: ModelPort;
  workspace: LocalWorkspace;
  host?: AgentHost;
  /** Sees each step before it is done; what it returns is taken in instead of what the step gives. */
  before?(step: ReturnType<typeof nextStep>, conversation: Conversation): Unclocked[] | undefined;
}

type Unclocked = Outcome extends infer One ? (One extends { atMs: number } ? Omit<One, 'atMs'> : never) : never;

export interface Run {
  conversation: Conversation;
  requests: ModelRequest[];
  ending?: Ending;
  parked?: ErrorFact;
}

/**
 * Drives a conversation to its end, or to where it parks, as a server does, on real files. Between two steps it is nothing but its JSON, so that a run that works here
 * works after a restart at any step.
 */
export async function runAgent(begun: Conversation, { port, workspace, host = quietHost(), before }: Surroundings): Promise<Run> {
  const signal = new AbortController().signal;
  const requests: ModelRequest[] = [];
  let conversation = begun;
  for (let steps = 0; steps < 1_000; steps++) {
    conversation = JSON.parse(JSON.stringify(conversation)) as Conversation;
    const step = nextStep(conversation, Date.now());
    const instead = before?.(step, conversation);
    if (instead !== undefined) {
      take(...instead);
      continue;
    }
    switch (step.do) {
      case 'done':
        return { conversation, requests, ending: step.ending };
      case 'park':
        return { conversation, requests, parked: step.reason };
      case 'learn':
        throw new Error('nobody died here');
      case 'call_model': {
        requests.push(step.request);
        for await (const event of port.stream(step.request, signal)) {
          if (event.type === 'error') take({ type: 'model_failed', purpose: step.purpose, error: event.error.toFact() });
          if (event.type !== 'done') continue;
          const { ending, message, usage, costUsd } = event;
          const answer = { ending, message, usage, costUsd };
          if (step.purpose === 'turn') take({ type: 'model_answered', basis: step.basis, answer });
          else take({ type: 'summed_up', cut: step.cut, answer });
        }
        break;
      }
      case 'run_tools': {
        take({ type: 'tools_started', callIds: step.calls.map(({ callId }) => callId) });
        const { seen, instructedFolders, settings } = conversation;
        const context = { workspace, host, seen, instructedFolders, isPlanning: settings.mode === 'plan', signal };
        const outcomes = await Promise.all(step.calls.map(async (call) => ({ call, outcome: await runCall(call, context) })));
        for (const { call, outcome } of outcomes) take({ type: 'tool_finished', callId: call.callId, outcome });
        break;
      }
      case 'verify': {
        const receipts: Receipt[] = [];
        for (const [index, command] of step.commands.entries()) {
          const treeHash = await workspace.treeHash();
          const { exitCode = 1, output } = await workspace.run(
            { command, folder: '', timeoutMs: 20_000, headBytes: 0, tailBytes: 2_000, maxOutputBytes: 1 << 20 },
            signal,
          );
          receipts.push({ id: `rcp_${index + 1}`, command, exitCode, treeHash, outputTail: Buffer.from(output.tail).toString() });
        }
        take({ type: 'evidence_given', receipts, treeHash: await workspace.treeHash() });
      }
    }
  }
  throw new Error('the agent did not end in 1,000 steps');

  function take(...outcomes: Unclocked[]): void {
    for (const outcome of outcomes) conversation = takeOutcome(conversation, { ...outcome, atMs: Date.now() } as Outcome);
  }
}
