import { CodedError } from '@helixcode/protocol/errors';
import { FREE } from '../cost.ts';
import {
  type AssistantMessage,
  type ModelCapabilities,
  type ModelEvent,
  type ModelPort,
  type ModelRequest,
  type ModelUsage,
  textOf,
  toolCallsOf,
} from '../model-port.ts';

/** What a scripted model does with one call. */
export type ScriptedAnswer =
  | { text?: string; reasoning?: string; calls?: { tool: string; input: unknown }[]; usage?: Partial<ModelUsage>; costUsd?: number }
  | CodedError;

/**
 * A model that says what its script says: for tests of what stands above the port, and for measuring it without a model's own time.
 *
 * @param script answers in order, or a function of the request and the number of the call (from 0); at the end of a list every further call fails
 */
export function scriptedModel(
  script: ScriptedAnswer[] | ((request: ModelRequest, call: number) => ScriptedAnswer),
  provider = 'scripted',
): ModelPort & { asked: ModelRequest[] } {
  const asked: ModelRequest[] = [];
  return {
    provider,
    asked,
    async *stream(request, signal): AsyncGenerator<ModelEvent> {
      const call = asked.push(request) - 1;
      const answer = typeof script === 'function' ? script(request, call) : script[call];
      const nothing: AssistantMessage = { role: 'assistant', parts: [] };
      if (signal.aborted)
        return yield { type: 'error', error: new CodedError('model.cancelled', 'the call was cancelled'), partial: nothing };
      if (answer === undefined)
        return yield {
          type: 'error',
          error: new CodedError('model.bad_response', `the script has no answer ${call + 1}`),
          partial: nothing,
        };
      if (answer instanceof CodedError) return yield { type: 'error', error: answer, partial: nothing };

      const message: AssistantMessage = {
        role: 'assistant',
        parts: [
          ...(answer.reasoning === undefined ? [] : [{ type: 'reasoning' as const, text: answer.reasoning }]),
          ...(answer.text === undefined ? [] : [{ type: 'text' as const, text: answer.text }]),
          ...(answer.calls ?? []).map(({ tool, input }, index) => ({
            type: 'tool_call' as const,
            callId: `call_${call + 1}_${index + 1}`,
            tool,
            argumentsText: typeof input === 'string' ? input : JSON.stringify(input),
          })),
        ],
      };
      const usage: ModelUsage = {
        inputTokens: 0,
        cachedTokens: 0,
        cacheWriteTokens: 0,
        outputTokens: 0,
        reasoningTokens: 0,
        ...answer.usage,
      };
      const costUsd = answer.costUsd ?? 0;
      if (answer.reasoning !== undefined) yield { type: 'reasoning', text: answer.reasoning };
      if (answer.text !== undefined) yield { type: 'text', text: textOf(message) };
      const calls = toolCallsOf(message);
      for (const { callId, tool, argumentsText } of calls) {
        yield { type: 'tool_call_start', callId, tool };
        yield { type: 'tool_call_delta', callId, argumentsText };
      }
      for (const made of calls) yield { type: 'tool_call', call: made };
      yield { type: 'usage', usage, costUsd };
      yield { type: 'done', ending: calls.length > 0 ? 'tool_calls' : 'stop', message, usage, costUsd, warnings: [] };
    },
    capabilities: (): ModelCapabilities => ({
      isKnown: true,
      contextTokens: 1_000_000,
      maxOutputTokens: undefined,
      tools: true,
      reasoning: true,
      images: true,
      structuredOutput: 'schema',
      promptCache: 'none',
    }),
    price: () => FREE,
    validateConfig: () => Promise.resolve({ problems: [], isKeyChecked: false, models: [] }),
  };
}
