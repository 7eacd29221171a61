import { estimateTokens } from '@helixcode/llm/cost';
import type { Message, ToolSpec } from '@helixcode/llm/model-port';

/** What vendors put around each message. */
const MESSAGE_TOKENS = 8;
/** A large image; small ones cost less. */
const IMAGE_TOKENS = 1_600;

/** Tokens of messages before a vendor has counted them: errs on the high side. */
export function messageTokens(messages: readonly Message[]): number {
  return messages.reduce((sum, message) => sum + MESSAGE_TOKENS + contentTokens(message), 0);
}

export function toolTokens(tools: readonly ToolSpec[]): number {
  return estimateTokens(JSON.stringify(tools));
}

function contentTokens(message: Message): number {
  switch (message.role) {
    case 'system':
      return estimateTokens(message.text);
    case 'user':
      return message.parts.reduce((sum, part) => sum + (part.type === 'text' ? estimateTokens(part.text) : IMAGE_TOKENS), 0);
    case 'assistant':
      return message.parts.reduce(
        (sum, part) => sum + estimateTokens(part.type === 'tool_call' ? part.tool + part.argumentsText : part.text),
        0,
      );
    case 'tool':
      return message.results.reduce(
        (sum, { parts }) => parts.reduce((more, part) => more + (part.type === 'text' ? estimateTokens(part.text) : IMAGE_TOKENS), sum),
        0,
      );
  }
}
