import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What the model says at one turn of a conversation. */
export interface Said {
  text?: string;
  calls?: { tool: string; input: unknown }[];
  /** The answer begins so much later. */
  afterMs?: number;
}

/** A request as it arrived. */
export interface AskedOfModel {
  messages: { role: string; content: unknown; tool_call_id?: string }[];
  tools?: { function: { name: string } }[];
  /** `performance.now()` of its arrival, and of the end of its answer. */
  atMs: number;
  answeredAtMs?: number;
  bytes: number;
}

export interface ModelServer {
  baseUrl: string;
  asked: AskedOfModel[];
  stop(): Promise<void>;
}

/**
 * A model on the loopback, with the chat API that most local servers have.
 *
 * @param script what it says, by how many answers of its own are in the conversation: the same conversation has the same answer, whoever asks and how often
 * @see https://platform.openai.com/docs/api-reference/chat-streaming
 */
export async function startModelServer(script: Said[] | ((turn: number, request: AskedOfModel) => Said)): Promise<ModelServer> {
  const asked: AskedOfModel[] = [];
  const server = createServer((request, response) => {
    if (request.method === 'GET')
      return void response.setHeader('content-type', 'application/json').end('{"object":"list","data":[{"id":"scripted"}]}');
    void answer(request, response);
  });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const atMs = performance.now();
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    const body = Buffer.concat(pieces);
    const parsed: AskedOfModel = { ...(JSON.parse(body.toString()) as AskedOfModel), atMs, bytes: body.length };
    asked.push(parsed);
    const turn = parsed.messages.filter(({ role }) => role === 'assistant').length;
    const said = typeof script === 'function' ? script(turn, parsed) : (script[turn] ?? { text: 'There is nothing more to do.' });
    if (said.afterMs !== undefined) await new Promise((resolve) => setTimeout(resolve, said.afterMs));
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const say = (delta: object, finish: string | null = null, extra: object = {}): string =>
      `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'scripted', choices: [{ index: 0, delta, finish_reason: finish }], ...extra })}\n\n`;
    const calls = (said.calls ?? []).map(({ tool, input }, index) => ({
      index,
      // As some servers do it: unique in an answer, and no further.
      id: `call_${index}`,
      type: 'function',
      function: { name: tool, arguments: JSON.stringify(input) },
    }));
    response.end(
      [
        say({ role: 'assistant', content: said.text ?? '' }),
        ...(calls.length > 0 ? [say({ tool_calls: calls })] : []),
        say({}, calls.length > 0 ? 'tool_calls' : 'stop', {
          usage: { prompt_tokens: Math.ceil(body.length / 4), completion_tokens: 20, total_tokens: 0 },
        }),
        'data: [DONE]\n\n',
      ].join(''),
    );
    parsed.answeredAtMs = performance.now();
  }

  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  return {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    asked,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
