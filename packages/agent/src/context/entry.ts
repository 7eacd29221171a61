import type { AssistantMessage, Message, ToolMessage, UserMessage } from '@helixcode/llm/model-port';

/**
 * One piece of a conversation, and whose it is. What a person said is never cut, never retold. `harness`: what the loop itself told the model; `summary`: what a model
 * wrote of the pieces that stood before.
 */
export type Entry =
  | { from: 'person' | 'harness' | 'summary'; message: UserMessage }
  | { from: 'model'; message: AssistantMessage }
  | { from: 'tools'; message: ToolMessage };

export function said(from: 'person' | 'harness' | 'summary', text: string): Entry {
  return { from, message: { role: 'user', parts: [{ type: 'text', text }] } };
}

/** The messages a model is sent. Neighbours of the role `user` become one message: some vendors refuse two in a row. */
export function messagesOf(entries: readonly Entry[]): Message[] {
  const messages: Message[] = [];
  for (const { message } of entries) {
    const last = messages.at(-1);
    if (message.role === 'user' && last?.role === 'user')
      messages[messages.length - 1] = { ...last, parts: [...last.parts, ...message.parts] };
    else messages.push(message);
  }
  return messages;
}
