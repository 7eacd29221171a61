import {
  APICallError,
  type LanguageModelV4,
  type LanguageModelV4CallOptions,
  type LanguageModelV4Prompt,
  type LanguageModelV4StreamPart,
} from '@ai-sdk/provider';
import { readNdjson } from '../local/ndjson.ts';
import type { SdkSettings } from './sdk-provider.ts';

/** One line of `POST /api/chat`. */
interface ChatLine {
  message?: {
    content?: string;
    thinking?: string;
    tool_calls?: { id?: string; function: { name: string; arguments: Record<string, unknown> } }[];
  };
  done?: boolean;
  done_reason?: string;
  prompt_eval_count?: number;
  eval_count?: number;
  /** A failure after the answer began. */
  error?: string;
}

/**
 * Ollama's own chat API as a model of the SDK. The own one, not the OpenAI-like: only here can the context be chosen for a call.
 *
 * @param contextTokens what `num_ctx` is set to
 */
export function ollamaModel(
  settings: SdkSettings,
  modelId: string,
  contextTokens: (prompt: LanguageModelV4Prompt) => Promise<number>,
): LanguageModelV4 {
  return {
    specificationVersion: 'v4',
    provider: 'ollama',
    modelId,
    supportedUrls: {},
    doGenerate: () => Promise.reject(new Error('this model only streams')),
    async doStream(options) {
      const url = `${settings.baseURL}/api/chat`;
      const body = { ...toChat(modelId, options), options: { ...samplingOf(options), num_ctx: await contextTokens(options.prompt) } };
      const response = await settings.fetch(url, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...settings.headers,
          ...(settings.apiKey !== '' && { authorization: `Bearer ${settings.apiKey}` }),
        },
        body: JSON.stringify(body),
        ...(options.abortSignal && { signal: options.abortSignal }),
      });
      if (!response.ok || response.body === null) {
        throw new APICallError({
          message: `HTTP ${response.status}`,
          url,
          requestBodyValues: {},
          statusCode: response.status,
          responseHeaders: Object.fromEntries(response.headers),
          responseBody: await response.text(),
        });
      }
      return { stream: ReadableStream.from(toParts(response.body)) };
    },
  };
}

async function* toParts(body: ReadableStream<Uint8Array>): AsyncGenerator<LanguageModelV4StreamPart> {
  yield { type: 'stream-start', warnings: [] };
  let open: 'text' | 'reasoning' | undefined;
  let calls = 0;
  for await (const value of readNdjson(body)) {
    const line = value as ChatLine;
    if (line.error !== undefined) throw new Error(line.error);
    const pieces = [
      { kind: 'reasoning' as const, text: line.message?.thinking ?? '' },
      { kind: 'text' as const, text: line.message?.content ?? '' },
    ];
    for (const { kind, text } of pieces) {
      if (text === '') continue;
      if (open !== kind) yield { type: `${kind}-start`, id: `${kind}-${calls}` };
      open = kind;
      yield { type: `${kind}-delta`, id: `${kind}-${calls}`, delta: text };
    }
    for (const call of line.message?.tool_calls ?? []) {
      // Ollama sends a call in one piece, and older versions without an id.
      const id = call.id ?? `call_${++calls}`;
      const input = JSON.stringify(call.function.arguments ?? {});
      yield { type: 'tool-input-start', id, toolName: call.function.name };
      yield { type: 'tool-input-delta', id, delta: input };
      yield { type: 'tool-input-end', id };
      yield { type: 'tool-call', toolCallId: id, toolName: call.function.name, input };
      open = undefined;
    }
    if (line.done) {
      const raw = line.done_reason ?? 'stop';
      yield {
        type: 'finish',
        finishReason: { unified: raw === 'length' ? 'length' : 'stop', raw },
        usage: {
          inputTokens: { total: line.prompt_eval_count, noCache: undefined, cacheRead: undefined, cacheWrite: undefined },
          outputTokens: { total: line.eval_count, text: undefined, reasoning: undefined },
        },
      };
      return;
    }
  }
}

function samplingOf({ maxOutputTokens, temperature }: LanguageModelV4CallOptions): Record<string, number> {
  return { ...(maxOutputTokens !== undefined && { num_predict: maxOutputTokens }), ...(temperature !== undefined && { temperature }) };
}

function toChat(model: string, options: LanguageModelV4CallOptions): Record<string, unknown> {
  const { reasoning, responseFormat, tools, prompt, toolChoice } = options;
  return {
    model,
    stream: true,
    messages: prompt.flatMap(toMessages),
    // Without these two, a conversation longer than the context loses its beginning, tools and instructions first, and nobody is told.
    truncate: false,
    shift: false,
    ...(reasoning !== undefined && reasoning !== 'provider-default' && { think: thinkOf(model, reasoning) }),
    ...(responseFormat?.type === 'json' && { format: responseFormat.schema ?? 'json' }),
    ...(tools &&
      toolChoice?.type !== 'none' && {
        tools: tools.flatMap((tool) =>
          tool.type === 'function'
            ? [{ type: 'function', function: { name: tool.name, description: tool.description, parameters: tool.inputSchema } }]
            : [],
        ),
      }),
  };
}

/** Most models think or do not; gpt-oss thinks always, by degrees. */
function thinkOf(model: string, effort: string): boolean | string {
  if (!model.includes('gpt-oss')) return effort !== 'none';
  if (effort === 'none' || effort === 'minimal') return 'low';
  return effort === 'low' || effort === 'medium' ? effort : 'high';
}

function toMessages(message: LanguageModelV4Prompt[number]): Record<string, unknown>[] {
  switch (message.role) {
    case 'system':
      return [{ role: 'system', content: message.content }];
    case 'user': {
      const images = message.content.flatMap((part) => (part.type === 'file' && part.data.type === 'data' ? [part.data.data] : []));
      return [{ role: 'user', content: textIn(message.content), ...(images.length > 0 && { images }) }];
    }
    case 'assistant': {
      const thinking = message.content.map((part) => (part.type === 'reasoning' ? part.text : '')).join('');
      const calls = message.content.flatMap((part) =>
        part.type === 'tool-call'
          ? [{ id: part.toolCallId, type: 'function', function: { name: part.toolName, arguments: part.input } }]
          : [],
      );
      return [
        {
          role: 'assistant',
          content: textIn(message.content),
          ...(thinking !== '' && { thinking }),
          ...(calls.length > 0 && { tool_calls: calls }),
        },
      ];
    }
    case 'tool':
      return message.content.flatMap((part) =>
        part.type === 'tool-result'
          ? [{ role: 'tool', tool_name: part.toolName, tool_call_id: part.toolCallId, content: resultText(part.output) }]
          : [],
      );
  }
}

function textIn(parts: readonly { type: string; text?: string }[]): string {
  return parts.map((part) => (part.type === 'text' ? part.text : '')).join('');
}

function resultText(output: { type: string; value?: unknown }): string {
  const text = typeof output.value === 'string' ? output.value : JSON.stringify(output.value);
  return output.type === 'error-text' ? `Error: ${text}` : text;
}
