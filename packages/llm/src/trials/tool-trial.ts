import { z } from 'zod';
import {
  collect,
  type JsonObject,
  type Message,
  readArguments,
  type ToolCallPart,
  type ToolResult,
  type ToolSpec,
  textOf,
  toolCallsOf,
} from '../model-port.ts';
import type { Trial } from './trial.ts';

/** A tool of a trial: it does nothing but answer. */
export interface TrialTool {
  spec: ToolSpec;
  shape: z.ZodType;
  /** What the model is told; an Error thrown becomes a result that says what is wrong. */
  answer(input: JsonObject): string;
}

export function trialTool<Shape extends z.ZodObject>(
  name: string,
  description: string,
  shape: Shape,
  answer: (input: z.infer<Shape>) => string = () => 'done',
): TrialTool {
  const { $schema: _, ...inputSchema } = z.toJSONSchema(shape, { io: 'input' }) as JsonObject;
  return { spec: { name, description, inputSchema }, shape, answer: (input) => answer(input as z.infer<Shape>) };
}

/** A call that could be made. */
export interface MadeCall {
  tool: string;
  input: JsonObject;
}

export interface ToolTask {
  name: string;
  prompt: string;
  tools: TrialTool[];
  /** What is wrong with the calls that were made, all turns together, or with the text that ended them. */
  problemOf(calls: MadeCall[], text: string): string | undefined;
}

/** A model that has not come to an end by then goes in circles. */
const MOST_TURNS = 6;
const ANSWER_TOKENS = 4_096;
const INSTRUCTION = 'Do what is asked with the tools you have, and nothing that is not asked. When it is done, say so in one sentence.';

/** Lets a model use tools until it makes no more calls. Every call must be of the shape of its tool; one that is not is told so, and counts. */
export function toolTrial({ name, prompt, tools, problemOf }: ToolTask): Trial {
  const known = new Map(tools.map((tool) => [tool.spec.name, tool]));
  return {
    name,
    async run({ port, model, signal }) {
      const messages: Message[] = [
        { role: 'system', text: INSTRUCTION },
        { role: 'user', parts: [{ type: 'text', text: prompt }] },
      ];
      const made: MadeCall[] = [];
      const wrong: string[] = [];
      let count = 0;
      for (let turn = 1; turn <= MOST_TURNS; turn++) {
        const request = { model, messages: [...messages], tools: tools.map(({ spec }) => spec), maxOutputTokens: ANSWER_TOKENS };
        const { message } = await collect(port.stream(request, signal));
        const calls = toolCallsOf(message);
        const toolCalls = (): { made: number; wellFormed: number } => ({ made: count, wellFormed: count - wrong.length });
        if (calls.length === 0) return { problem: wrong[0] ?? problemOf(made, textOf(message)), toolCalls: toolCalls() };
        count += calls.length;
        messages.push(message, { role: 'tool', results: calls.map((call) => answerCall(call, made, wrong)) });
        if (turn === MOST_TURNS) return { problem: `it still made calls in its ${MOST_TURNS}th answer`, toolCalls: toolCalls() };
      }
      throw new Error('unreachable: the last turn returns');
    },
  };

  function answerCall(call: ToolCallPart, made: MadeCall[], wrong: string[]): ToolResult {
    const result = (text: string, isError: boolean): ToolResult => ({
      callId: call.callId,
      tool: call.tool,
      isError,
      parts: [{ type: 'text', text }],
    });
    const malformed = (problem: string): ToolResult => {
      wrong.push(problem);
      return result(problem, true);
    };
    const tool = known.get(call.tool);
    if (tool === undefined) return malformed(`there is no tool ${call.tool}`);
    const read = readArguments(call);
    if ('problem' in read) return malformed(read.problem);
    const checked = tool.shape.safeParse(read.input);
    if (!checked.success) {
      const [issue] = checked.error.issues;
      return malformed(`the arguments of ${call.tool} are wrong: ${issue?.path.join('.') || 'all'}: ${issue?.message}`);
    }
    made.push({ tool: call.tool, input: read.input });
    try {
      return result(tool.answer(read.input), false);
    } catch (error) {
      return result((error as Error).message, true);
    }
  }
}
