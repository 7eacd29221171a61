import { openaiRefusal } from './openai-chat-wire.ts';
import { type Asked, bearer, dataUrl, halves, type Refusal, type Say, sseEvent, type Wire } from './wire.ts';

interface InputItem {
  type?: string;
  role?: string;
  content?: string | { type: string; text?: string; image_url?: string }[];
  name?: string;
  arguments?: string;
  output?: string | { type: string; text?: string; image_url?: string }[];
}

const partsText = (content: InputItem['content'] | InputItem['output']): string =>
  typeof content === 'string' ? content : (content ?? []).map((part) => part.text ?? '').join('');

function read(body: Record<string, unknown>): Asked {
  const input = body['input'] as InputItem[];
  const by = (role: string): InputItem[] => input.filter((item) => item.role === role);
  const images = (content: InputItem['content'] | InputItem['output']) =>
    (Array.isArray(content) ? content : []).flatMap((part) => (part.image_url === undefined ? [] : [dataUrl(part.image_url)]));
  const format = (body['text'] as { format?: { type: string } } | undefined)?.format;
  const results = input.filter(({ type }) => type === 'function_call_output');
  return {
    model: body['model'] as string,
    system: [...by('system'), ...by('developer')].map(({ content }) => partsText(content)),
    user: by('user').map(({ content }) => partsText(content)),
    images: [...by('user').flatMap(({ content }) => images(content)), ...results.flatMap(({ output }) => images(output))],
    tools: ((body['tools'] ?? []) as { name: string }[]).map(({ name }) => name),
    earlierCalls: input
      .filter(({ type }) => type === 'function_call')
      .map((item) => ({ tool: item.name ?? '', input: JSON.parse(item.arguments ?? '') as unknown })),
    results: results.map(({ output }) => partsText(output)),
    output: format?.type === 'json_schema' ? 'schema' : format?.type === 'json_object' ? 'json' : undefined,
    maxOutputTokens: body['max_output_tokens'] as number | undefined,
    body,
  };
}

function answer(say: Say, model: string): string[] {
  const usage = say.usage && {
    input_tokens: say.usage.input,
    input_tokens_details: { cached_tokens: say.usage.cached },
    output_tokens: say.usage.output,
    output_tokens_details: { reasoning_tokens: say.usage.reasoning },
    total_tokens: say.usage.input + say.usage.output,
  };
  const response = (status: string, extra = {}): Record<string, unknown> => ({
    id: 'resp_1',
    object: 'response',
    created_at: 1,
    status,
    model,
    output: [],
    usage: null,
    incomplete_details: null,
    error: null,
    ...extra,
  });
  const pieces = [sseEvent('response.created', { response: response('in_progress') })];
  let index = 0;
  if (say.think !== undefined) {
    const place = { item_id: 'rs_1', output_index: index, summary_index: 0 };
    pieces.push(
      sseEvent('response.output_item.added', {
        output_index: index,
        item: { id: 'rs_1', type: 'reasoning', status: 'in_progress', summary: [] },
      }),
    );
    pieces.push(sseEvent('response.reasoning_summary_part.added', { ...place, part: { type: 'summary_text', text: '' } }));
    for (const delta of halves(say.think)) pieces.push(sseEvent('response.reasoning_summary_text.delta', { ...place, delta }));
    pieces.push(sseEvent('response.reasoning_summary_text.done', { ...place, text: say.think }));
    pieces.push(sseEvent('response.reasoning_summary_part.done', { ...place, part: { type: 'summary_text', text: say.think } }));
    pieces.push(
      sseEvent('response.output_item.done', {
        output_index: index++,
        item: {
          id: 'rs_1',
          type: 'reasoning',
          status: 'completed',
          encrypted_content: 'sealed-thought',
          summary: [{ type: 'summary_text', text: say.think }],
        },
      }),
    );
  }
  if (say.text !== undefined) {
    const place = { item_id: 'msg_1', output_index: index, content_index: 0 };
    const content = [{ type: 'output_text', text: say.text, annotations: [], logprobs: [] }];
    pieces.push(
      sseEvent('response.output_item.added', {
        output_index: index,
        item: { id: 'msg_1', type: 'message', status: 'in_progress', role: 'assistant', content: [] },
      }),
    );
    pieces.push(
      sseEvent('response.content_part.added', { ...place, part: { type: 'output_text', text: '', annotations: [], logprobs: [] } }),
    );
    for (const delta of halves(say.text)) pieces.push(sseEvent('response.output_text.delta', { ...place, delta, logprobs: [] }));
    pieces.push(sseEvent('response.output_text.done', { ...place, text: say.text, logprobs: [] }));
    pieces.push(
      sseEvent('response.output_item.done', {
        output_index: index++,
        item: { id: 'msg_1', type: 'message', status: 'completed', role: 'assistant', content },
      }),
    );
  }
  for (const call of say.calls ?? []) {
    const id = `fc_${call.id}`;
    const item = { id, type: 'function_call', call_id: call.id, name: call.tool };
    const text = JSON.stringify(call.input);
    pieces.push(sseEvent('response.output_item.added', { output_index: index, item: { ...item, status: 'in_progress', arguments: '' } }));
    for (const delta of halves(text))
      pieces.push(sseEvent('response.function_call_arguments.delta', { item_id: id, output_index: index, delta }));
    pieces.push(sseEvent('response.function_call_arguments.done', { item_id: id, output_index: index, arguments: text, name: call.tool }));
    pieces.push(sseEvent('response.output_item.done', { output_index: index++, item: { ...item, status: 'completed', arguments: text } }));
  }
  pieces.push(
    say.stop === 'length'
      ? sseEvent('response.incomplete', {
          response: response('incomplete', { usage, incomplete_details: { reason: 'max_output_tokens' } }),
        })
      : sseEvent('response.completed', {
          response: response('completed', { usage: usage ?? { input_tokens: 1, output_tokens: 1, total_tokens: 2 } }),
        }),
  );
  return pieces.map((piece, number) => piece.replace(/\}\n\n$/, `,"sequence_number":${number}}\n\n`));
}

/** @see https://platform.openai.com/docs/api-reference/responses-streaming */
export const openaiWire: Wire = {
  kind: 'openai',
  basePath: '/v1',
  contentType: 'text/event-stream',
  isChat: (path) => path === '/v1/responses',
  keyOf: bearer,
  read,
  answer,
  garbage: 'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","item_id":\n\n',
  refuse: openaiRefusal,
  failure: sseEvent('response.failed', {
    sequence_number: 3,
    response: {
      id: 'resp_1',
      object: 'response',
      created_at: 1,
      status: 'failed',
      model: 'test-model',
      output: [],
      usage: null,
      error: { code: 'server_error', message: 'The model failed to generate a response.' },
    },
  }),
  list: (models) => ({ path: '/v1/models', body: JSON.stringify({ object: 'list', data: models.map((id) => ({ id, object: 'model' })) }) }),
};

/** @see https://docs.x.ai/docs/api-reference */
export const xaiWire: Wire = {
  ...openaiWire,
  kind: 'xai',
  refuse(why: Refusal, model: string) {
    const error = (status: number, code: string, text: string): { status: number; body: string } => ({
      status,
      body: JSON.stringify({ code, error: text }),
    });
    switch (why) {
      case 'key':
        return error(
          400,
          'Client specified an invalid argument',
          'Incorrect API key provided: te***89. You can obtain an API key from https://console.x.ai.',
        );
      case 'model':
        return error(
          404,
          'Some requested entity was not found',
          `The model ${model} does not exist or your team does not have access to it.`,
        );
      case 'overflow':
        return error(
          400,
          'Client specified an invalid argument',
          "This model's maximum prompt length is 131072 but the request contains 300012 tokens.",
        );
      case 'rate':
        return {
          ...error(429, 'Some resource has been exhausted', 'Too many requests for team: requests per minute (actual/limit): 61/60.'),
          headers: { 'retry-after': '7' },
        };
      case 'credit':
        return error(
          403,
          'The caller does not have permission to execute the specified operation',
          'Your team has either used all available credits or reached its monthly spending limit.',
        );
      case 'overloaded':
        return error(503, 'The service is currently unavailable', 'The model is at capacity. Please try again later.');
      case 'broken':
        return error(500, 'Internal error', 'Internal error');
    }
  },
};
