import { type Asked, halves, type Refusal, type Say, sseEvent, type Wire } from './wire.ts';

type Block = {
  type: string;
  text?: string;
  name?: string;
  input?: unknown;
  content?: string | Block[];
  source?: { media_type: string; data: string };
};
interface AnthropicMessage {
  role: string;
  content: string | Block[];
}

const blocksOf = ({ content }: AnthropicMessage): Block[] => (typeof content === 'string' ? [{ type: 'text', text: content }] : content);

function read(body: Record<string, unknown>): Asked {
  const messages = body['messages'] as AnthropicMessage[];
  const user = messages.filter(({ role }) => role === 'user').flatMap(blocksOf);
  const results = user.filter(({ type }) => type === 'tool_result');
  const inResults = results.flatMap(({ content }) => (Array.isArray(content) ? content : []));
  const output = body['output_config'] as { format?: unknown } | undefined;
  return {
    model: body['model'] as string,
    system: ((body['system'] ?? []) as Block[]).map(({ text }) => text ?? ''),
    user: user.filter(({ type }) => type === 'text').map(({ text }) => text ?? ''),
    images: [...user, ...inResults].flatMap(({ source }) => (source ? [{ mediaType: source.media_type, base64: source.data }] : [])),
    tools: ((body['tools'] ?? []) as { name: string }[]).map(({ name }) => name),
    earlierCalls: messages
      .filter(({ role }) => role === 'assistant')
      .flatMap(blocksOf)
      .filter(({ type }) => type === 'tool_use')
      .map(({ name, input }) => ({ tool: name ?? '', input })),
    results: results.map(({ content }) => (typeof content === 'string' ? content : (content ?? []).map(({ text }) => text ?? '').join(''))),
    output:
      output?.format !== undefined
        ? 'schema'
        : ((body['tools'] ?? []) as { name: string }[]).some(({ name }) => name === 'json')
          ? 'prompt'
          : undefined,
    maxOutputTokens: body['max_tokens'] as number,
    body,
  };
}

function answer(say: Say, model: string): string[] {
  const usage = say.usage ?? { input: 1, cached: 0, output: 1, reasoning: 0 };
  const pieces = [
    sseEvent('message_start', {
      message: {
        id: 'msg_1',
        type: 'message',
        role: 'assistant',
        model,
        content: [],
        stop_reason: null,
        stop_sequence: null,
        usage: {
          input_tokens: usage.input - usage.cached,
          cache_creation_input_tokens: 0,
          cache_read_input_tokens: usage.cached,
          output_tokens: 1,
        },
      },
    }),
    sseEvent('ping', {}),
  ];
  let index = 0;
  const block = (start: Record<string, unknown>, deltas: Record<string, unknown>[]): void => {
    pieces.push(sseEvent('content_block_start', { index, content_block: start }));
    for (const delta of deltas) pieces.push(sseEvent('content_block_delta', { index, delta }));
    pieces.push(sseEvent('content_block_stop', { index: index++ }));
  };
  if (say.think !== undefined) {
    block({ type: 'thinking', thinking: '', signature: '' }, [
      ...halves(say.think).map((thinking) => ({ type: 'thinking_delta', thinking })),
      { type: 'signature_delta', signature: 'signed-thought' },
    ]);
  }
  if (say.text !== undefined)
    block(
      { type: 'text', text: '' },
      halves(say.text).map((text) => ({ type: 'text_delta', text })),
    );
  for (const call of say.calls ?? []) {
    block(
      { type: 'tool_use', id: call.id, name: call.tool, input: {} },
      ['', ...halves(JSON.stringify(call.input))].map((json) => ({ type: 'input_json_delta', partial_json: json })),
    );
  }
  pieces.push(
    sseEvent('message_delta', {
      delta: { stop_reason: say.stop === 'length' ? 'max_tokens' : say.calls ? 'tool_use' : 'end_turn', stop_sequence: null },
      usage: { output_tokens: usage.output, ...(say.usage && { output_tokens_details: { thinking_tokens: usage.reasoning } }) },
    }),
    sseEvent('message_stop', {}),
  );
  return pieces;
}

const error = (status: number, type: string, message: string): { status: number; body: string } => ({
  status,
  body: JSON.stringify({ type: 'error', error: { type, message }, request_id: 'req_1' }),
});

/** @see https://docs.anthropic.com/en/api/messages-streaming and https://docs.anthropic.com/en/api/errors */
export const anthropicWire: Wire = {
  kind: 'anthropic',
  basePath: '/v1',
  contentType: 'text/event-stream',
  isChat: (path) => path === '/v1/messages',
  keyOf: (headers) => headers['x-api-key'] as string | undefined,
  read,
  answer,
  garbage: 'event: content_block_delta\ndata: {"type":"content_block_delta","index":\n\n',
  failure: sseEvent('error', { error: { type: 'overloaded_error', message: 'Overloaded' } }),
  refuse(why: Refusal, model: string) {
    switch (why) {
      case 'key':
        return error(401, 'authentication_error', 'invalid x-api-key');
      case 'model':
        return error(404, 'not_found_error', `model: ${model}`);
      case 'overflow':
        return error(400, 'invalid_request_error', 'prompt is too long: 300012 tokens > 200000 maximum');
      case 'rate':
        return {
          ...error(429, 'rate_limit_error', 'This request would exceed the rate limit of your organization.'),
          headers: { 'retry-after': '7' },
        };
      case 'credit':
        return error(
          400,
          'invalid_request_error',
          'Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.',
        );
      case 'overloaded':
        return error(529, 'overloaded_error', 'Overloaded');
      case 'broken':
        return error(500, 'api_error', 'Internal server error');
    }
  },
  list: (models) => ({
    path: '/v1/models',
    body: JSON.stringify({ data: models.map((id) => ({ id, type: 'model', display_name: id })), has_more: false }),
  }),
};
