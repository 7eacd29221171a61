import { type Asked, halves, type Refusal, type Say, type Wire } from './wire.ts';

interface OllamaMessage {
  role: string;
  content: string;
  images?: string[];
  tool_calls?: { function: { name: string; arguments: unknown } }[];
}

function read(body: Record<string, unknown>): Asked {
  const messages = body['messages'] as OllamaMessage[];
  const of = (role: string): OllamaMessage[] => messages.filter((message) => message.role === role);
  return {
    model: body['model'] as string,
    system: of('system').map(({ content }) => content),
    user: of('user').map(({ content }) => content),
    images: of('user').flatMap(({ images }) => (images ?? []).map((base64) => ({ mediaType: 'image/png', base64 }))),
    tools: ((body['tools'] ?? []) as { function: { name: string } }[]).map((tool) => tool.function.name),
    earlierCalls: of('assistant').flatMap(({ tool_calls: calls }) =>
      (calls ?? []).map((call) => ({ tool: call.function.name, input: call.function.arguments })),
    ),
    results: of('tool').map(({ content }) => content),
    output: typeof body['format'] === 'object' ? 'schema' : body['format'] === 'json' ? 'json' : undefined,
    maxOutputTokens: (body['options'] as { num_predict?: number } | undefined)?.num_predict,
    body,
  };
}

function answer(say: Say, model: string): string[] {
  const line = (message: Record<string, unknown>, extra = {}): string =>
    `${JSON.stringify({ model, created_at: '2026-01-01T00:00:00Z', message: { role: 'assistant', content: '', ...message }, done: false, ...extra })}\n`;
  return [
    ...(say.think === undefined ? [] : halves(say.think).map((thinking) => line({ thinking }))),
    ...(say.text === undefined ? [] : halves(say.text).map((content) => line({ content }))),
    ...(say.calls ?? []).map((call) => line({ tool_calls: [{ id: call.id, function: { name: call.tool, arguments: call.input } }] })),
    line(
      {},
      {
        done: true,
        done_reason: say.stop ?? 'stop',
        total_duration: 5,
        ...(say.usage && { prompt_eval_count: say.usage.input, eval_count: say.usage.output }),
      },
    ),
  ];
}

/** @see https://github.com/ollama/ollama/blob/main/docs/api.md */
export const ollamaWire: Wire = {
  kind: 'ollama',
  basePath: '',
  contentType: 'application/x-ndjson',
  isChat: (path) => path === '/api/chat',
  read,
  answer,
  garbage: '{"model":"x","message":{"role":"assist\n',
  lacks: ['cachedTokens', 'reasoningTokens', 'argumentPieces'],
  unknownRefusals: { key: 'it asks for none', rate: 'it queues', credit: 'it is free' },
  failure: `${JSON.stringify({ error: 'an error was encountered while running the model: CUDA error' })}\n`,
  refuse(why: Refusal, model: string) {
    const error = (status: number, said: string): { status: number; body: string } => ({ status, body: JSON.stringify({ error: said }) });
    switch (why) {
      case 'model':
        return error(404, `model "${model}" not found, try pulling it first`);
      case 'overflow':
        return error(
          400,
          JSON.stringify({
            error: {
              code: 400,
              message: 'request (300012 tokens) exceeds the available context size (32768 tokens), try increasing it',
              type: 'exceed_context_size_error',
              n_prompt_tokens: 300012,
              n_ctx: 32768,
            },
          }),
        );
      case 'overloaded':
        return error(503, 'server busy, please try again.  maximum pending requests exceeded');
      default:
        return error(500, 'llama runner process has terminated: exit status 2');
    }
  },
  list: (models) => ({ path: '/api/tags', body: JSON.stringify({ models: models.map((name) => ({ name, size: 1 })) }) }),
};
