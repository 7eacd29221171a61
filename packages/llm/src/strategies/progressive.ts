import { z } from 'zod';
import {
  type JsonObject,
  type Message,
  type ReasoningEffort,
  readArguments,
  type ToolCallPart,
  type ToolResult,
  type ToolSpec,
  textOf,
  toolCallsOf,
} from '../model-port.ts';
import { BudgetSpent, Reasoner, type ReasoningResult, type ReasoningTask, user } from './reasoner.ts';

/** One stage of effort. */
export interface ProgressiveStage {
  effort: ReasoningEffort;
  /** Calls of the model in this stage before it has to conclude. */
  turns: number;
}

export const USUAL_STAGES: [ProgressiveStage, ...ProgressiveStage[]] = [
  { effort: 'low', turns: 3 },
  { effort: 'medium', turns: 6 },
  { effort: 'high', turns: 12 },
];

export interface ProgressiveTools {
  tools: ToolSpec[];
  run(call: ToolCallPart, input: JsonObject, signal: AbortSignal): Promise<ToolResult['parts']>;
}

const conclusion = z.strictObject({
  answer: z.string().min(1),
  confidence: z.number().min(0).max(1).describe('Chance that the answer is right; below 1 where something was not checked'),
  open: z.array(z.string()).describe('What was not checked or stays unclear'),
});

const CONCLUDE: ToolSpec = {
  name: 'conclude',
  description: 'Give the answer, and how sure it is.',
  inputSchema: z.toJSONSchema(conclusion) as JsonObject,
};

/**
 * Tries with little effort first, using tools, and with more where the answer is not sure enough: each stage begins with what the one before found and left
 * open. Easy questions stay cheap, hard ones get what they need.
 *
 * @param sureFrom confidence, 0 to 1, at which an answer is taken without a further stage
 */
export async function progressive(
  task: ReasoningTask,
  { tools, run }: ProgressiveTools,
  stages = USUAL_STAGES,
  sureFrom = 0.85,
): Promise<ReasoningResult> {
  const reasoner = new Reasoner(task);
  const messages: Message[] = [user('Use the tools to check what can be checked. When you know enough, call "conclude".')];
  let best: z.infer<typeof conclusion> | undefined;
  try {
    for (const [index, stage] of stages.entries()) {
      reasoner.note({ kind: 'stage', text: `effort ${stage.effort}` });
      const concluded = await runStage(stage);
      if (concluded === undefined) continue;
      reasoner.note({ kind: 'conclude', text: concluded.answer, score: concluded.confidence });
      // A later stage knows more: at equal confidence its answer stands.
      if (best === undefined || concluded.confidence >= best.confidence) best = concluded;
      if (concluded.confidence >= sureFrom) return reasoner.result(concluded.answer, 'accepted');
      if (index < stages.length - 1) {
        messages.push(
          user(
            `That is not sure enough (${concluded.confidence}).${concluded.open.length > 0 ? ` Still open:\n${concluded.open.map((item) => `- ${item}`).join('\n')}\n` : ' '}Take the time to check, then conclude again.`,
          ),
        );
      }
    }
    return reasoner.result(best?.answer, 'exhausted');
  } catch (error) {
    if (error instanceof BudgetSpent) return reasoner.result(best?.answer, 'budget');
    throw error;
  }

  async function runStage({ effort, turns }: ProgressiveStage): Promise<z.infer<typeof conclusion> | undefined> {
    for (let turn = 1; turn <= turns; turn++) {
      const isLast = turn === turns;
      const { message } = await reasoner.ask(messages, {
        reasoning: effort,
        tools: [...tools, CONCLUDE],
        ...(isLast && { toolChoice: { tool: CONCLUDE.name } }),
      });
      messages.push(message);
      const calls = toolCallsOf(message);
      if (calls.length === 0) {
        // An answer in plain words: how sure it is was not said.
        reasoner.note({ kind: 'thought', text: textOf(message).trim() });
        messages.push(user('Call "conclude" with that answer, and say how sure it is.'));
        continue;
      }
      let concluded: z.infer<typeof conclusion> | undefined;
      const results: ToolResult[] = [];
      for (const call of calls) {
        const identity = { callId: call.callId, tool: call.tool };
        if (call.tool === CONCLUDE.name) {
          const read = readArguments(call);
          const checked = 'input' in read ? conclusion.safeParse(read.input) : undefined;
          if (checked?.success) concluded = checked.data;
          results.push({
            ...identity,
            isError: !checked?.success,
            parts: [{ type: 'text', text: checked?.success ? 'noted' : 'the arguments are not of the asked shape' }],
          });
        } else results.push({ ...identity, ...(await runTool(call)) });
      }
      messages.push({ role: 'tool', results });
      if (concluded) return concluded;
    }
    return undefined;
  }

  async function runTool(call: ToolCallPart): Promise<Pick<ToolResult, 'isError' | 'parts'>> {
    const read = readArguments(call);
    const failed = (text: string) => ({ isError: true, parts: [{ type: 'text' as const, text }] });
    if (!tools.some(({ name }) => name === call.tool)) return failed(`there is no tool ${call.tool}`);
    if ('problem' in read) return failed(read.problem);
    reasoner.note({ kind: 'tool', text: `${call.tool} ${call.argumentsText}` });
    try {
      return { isError: false, parts: await run(call, read.input, task.signal) };
    } catch (error) {
      // A cancelled task ends at its next call of the model, with the right error.
      return failed((error as Error).message);
    }
  }
}
