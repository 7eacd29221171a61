import type {
  LanguageModelV4CallOptions,
  LanguageModelV4FunctionTool,
  LanguageModelV4Message,
  LanguageModelV4Prompt,
} from '@ai-sdk/provider';
import {
  type CacheMark,
  type ImagePart,
  type JsonObject,
  type Message,
  type ModelRequest,
  readArguments,
  type TextPart,
  type ToolResult,
  type VendorState,
} from '../model-port.ts';

/** How a vendor's wire differs in what it can carry. */
export interface WireAbilities {
  /** How a cache mark is told to this vendor; absent where marks mean nothing. */
  cacheMark?: ((mark: CacheMark) => VendorState) | undefined;
  /** Whether a tool result may hold images; otherwise they follow as a message of the user. */
  imagesInResults: boolean;
}

/** Our request in the words of the SDK. */
export function toCallOptions(request: ModelRequest, wire: WireAbilities, signal: AbortSignal): LanguageModelV4CallOptions {
  return {
    prompt: request.messages.flatMap((message) => toPrompt(message, wire)),
    abortSignal: signal,
    ...(request.maxOutputTokens !== undefined && { maxOutputTokens: request.maxOutputTokens }),
    ...(request.temperature !== undefined && { temperature: request.temperature }),
    ...(request.reasoning !== undefined && { reasoning: request.reasoning }),
    ...(request.output && {
      responseFormat: { type: 'json', name: request.output.name, schema: request.output.schema },
    }),
    ...(request.tools && request.tools.length > 0 && { tools: request.tools.map(toTool), toolChoice: toChoice(request.toolChoice) }),
  };
}

function toTool({ name, description, inputSchema }: NonNullable<ModelRequest['tools']>[number]): LanguageModelV4FunctionTool {
  return { type: 'function', name, description, inputSchema };
}

function toChoice(choice: ModelRequest['toolChoice']): NonNullable<LanguageModelV4CallOptions['toolChoice']> {
  if (typeof choice === 'object') return { type: 'tool', toolName: choice.tool };
  return { type: choice ?? 'auto' };
}

function toPrompt(message: Message, wire: WireAbilities): LanguageModelV4Prompt {
  const mark = message.cache && wire.cacheMark ? { providerOptions: wire.cacheMark(message.cache) } : {};
  switch (message.role) {
    case 'system':
      return [{ role: 'system', content: message.text, ...mark }];
    case 'user':
      return [{ role: 'user', content: message.parts.map(toUserPart), ...mark }];
    case 'assistant':
      return [{ role: 'assistant', content: message.parts.map(toAssistantPart), ...mark }];
    case 'tool': {
      const images = wire.imagesInResults ? [] : message.results.flatMap(imagesOf);
      const results: LanguageModelV4Message = { role: 'tool', content: message.results.map((result) => toResult(result, wire)), ...mark };
      return images.length === 0 ? [results] : [results, { role: 'user', content: images.map(toUserPart) }];
    }
  }
}

function toUserPart(part: TextPart | ImagePart) {
  return part.type === 'text'
    ? { type: 'text' as const, text: part.text }
    : { type: 'file' as const, mediaType: part.mediaType, data: { type: 'data' as const, data: part.base64 } };
}

type AssistantContent = Extract<LanguageModelV4Message, { role: 'assistant' }>['content'][number];

function toAssistantPart(part: Extract<Message, { role: 'assistant' }>['parts'][number]): AssistantContent {
  const state = part.vendorState ? { providerOptions: part.vendorState } : {};
  if (part.type !== 'tool_call') return { type: part.type, text: part.text, ...state };
  const read = readArguments(part);
  // Every vendor refuses a history whose arguments are no object: the broken text stays readable inside one.
  const input: JsonObject = 'input' in read ? read.input : { unreadable_arguments: part.argumentsText };
  return { type: 'tool-call', toolCallId: part.callId, toolName: part.tool, input, ...state };
}

function toResult(result: ToolResult, wire: WireAbilities): Extract<LanguageModelV4Message, { role: 'tool' }>['content'][number] {
  const images = imagesOf(result);
  const text = result.parts.flatMap((part) => (part.type === 'text' ? [part.text] : [])).join('\n');
  const identity = { type: 'tool-result' as const, toolCallId: result.callId, toolName: result.tool };
  if (images.length > 0 && wire.imagesInResults && !result.isError) {
    return { ...identity, output: { type: 'content', value: result.parts.map(toUserPart) } };
  }
  const note =
    images.length > 0
      ? `${text}${text === '' ? '' : '\n'}(${images.length === 1 ? 'an image follows' : `${images.length} images follow`})`
      : text;
  return { ...identity, output: { type: result.isError ? 'error-text' : 'text', value: note } };
}

function imagesOf(result: ToolResult): ImagePart[] {
  return result.parts.filter((part) => part.type === 'image');
}
