import { type Asked, bearer, dataUrl, halves, type Refusal, type Say, sse, type Wire } from './wire.ts';

/** Where the many servers of OpenAI's chat API differ. */
interface Dialect {
  kind: string;
  basePath: string;
  /** Below the base path. */
  chatPath?: string;
  hasKey: boolean;
  /** A thought as a delta. */
  thought?(text: string): Record<string, unknown>;
  text?(text: string): Record<string, unknown>;
  usage(usage: NonNullable<Say['usage']>): Record<string, unknown>;
  /** Whether usage comes with the last choice instead of in a piece of its own. */
  isUsageWithFinish?: boolean;
  finishOfCalls?: string;
  refuse(why: Refusal, model: string): { status: number; body: string; headers?: Record<string, string> };
  unknownRefusals?: Wire['unknownRefusals'];
  failure?: string;
  list?: Wire['list'];
  lacks?: Wire['lacks'];
  comment?: string;
}

/** @see https://platform.openai.com/docs/api-reference/chat-streaming */
export function openaiChatDialect(dialect: Dialect): Wire {
  return {
    kind: dialect.kind,
    basePath: dialect.basePath,
    contentType: 'text/event-stream',
    isChat: (path) => path === `${dialect.basePath}${dialect.chatPath ?? '/chat/completions'}`,
    ...(dialect.hasKey && { keyOf: bearer }),
    read: readChat,
    garbage: 'data: {"choices":[{"delta":{"content":\n\n',
    refuse: dialect.refuse,
    ...(dialect.unknownRefusals && { unknownRefusals: dialect.unknownRefusals }),
    ...(dialect.failure !== undefined && { failure: dialect.failure }),
    ...(dialect.lacks && { lacks: dialect.lacks }),
    list:
      dialect.list ??
      ((models) => ({
        path: `${dialect.basePath}/models`,
        body: JSON.stringify({ object: 'list', data: models.map((id) => ({ id, object: 'model' })) }),
      })),
    answer(say, model) {
      const piece = (delta: Record<string, unknown>, finish: string | null = null, extra = {}): string =>
        sse({
          id: 'chatcmpl-1',
          object: 'chat.completion.chunk',
          created: 1,
          model,
          choices: [{ index: 0, delta, finish_reason: finish }],
          ...extra,
        });
      const thought = dialect.thought ?? ((text) => ({ reasoning_content: text }));
      const text = dialect.text ?? ((content) => ({ content }));
      const usage = say.usage ? dialect.usage(say.usage) : undefined;
      const finish = say.stop ?? (say.calls ? (dialect.finishOfCalls ?? 'tool_calls') : 'stop');
      return [
        ...(dialect.comment === undefined ? [] : [dialect.comment]),
        piece({ role: 'assistant', content: '' }),
        ...(say.think === undefined || dialect.lacks?.includes('reasoning') ? [] : halves(say.think).map((half) => piece(thought(half)))),
        ...(say.text === undefined ? [] : halves(say.text).map((half) => piece(text(half)))),
        ...(say.calls ?? []).flatMap((call, index) => {
          const [first = '', second = ''] = halves(JSON.stringify(call.input));
          if (dialect.lacks?.includes('argumentPieces')) {
            return [
              piece({ tool_calls: [{ index, id: call.id, type: 'function', function: { name: call.tool, arguments: first + second } }] }),
            ];
          }
          return [
            piece({ tool_calls: [{ index, id: call.id, type: 'function', function: { name: call.tool, arguments: '' } }] }),
            piece({ tool_calls: [{ index, function: { arguments: first } }] }),
            piece({ tool_calls: [{ index, function: { arguments: second } }] }),
          ];
        }),
        piece({}, finish, dialect.isUsageWithFinish && usage ? { usage } : {}),
        ...(usage && !dialect.isUsageWithFinish
          ? [sse({ id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model, choices: [], usage })]
          : []),
        'data: [DONE]\n\n',
      ];
    },
  };
}

interface ChatMessage {
  role: string;
  content?: string | { type: string; text?: string; image_url?: string | { url: string } }[] | null;
  tool_calls?: { function: { name: string; arguments: string } }[];
}

function readChat(body: Record<string, unknown>): Asked {
  const messages = body['messages'] as ChatMessage[];
  const textOf = ({ content }: ChatMessage): string =>
    typeof content === 'string' ? content : (content ?? []).map((part) => part.text ?? '').join('');
  const of = (...roles: string[]): ChatMessage[] => messages.filter(({ role }) => roles.includes(role));
  const format = body['response_format'] as { type?: string } | undefined;
  return {
    model: body['model'] as string,
    system: of('system', 'developer').map(textOf),
    user: of('user').map(textOf),
    images: of('user').flatMap(({ content }) =>
      (Array.isArray(content) ? content : []).flatMap(({ image_url: url }) =>
        url === undefined ? [] : [dataUrl(typeof url === 'string' ? url : url.url)],
      ),
    ),
    tools: ((body['tools'] ?? []) as { function: { name: string } }[]).map((tool) => tool.function.name),
    earlierCalls: of('assistant').flatMap(({ tool_calls: calls }) =>
      (calls ?? []).map((call) => ({ tool: call.function.name, input: JSON.parse(call.function.arguments) as unknown })),
    ),
    results: of('tool').map(textOf),
    output: format?.type === 'json_schema' ? 'schema' : format?.type === 'json_object' ? 'json' : undefined,
    maxOutputTokens: (body['max_completion_tokens'] ?? body['max_tokens']) as number | undefined,
    body,
  };
}

const plainUsage = (usage: NonNullable<Say['usage']>): Record<string, unknown> => ({
  prompt_tokens: usage.input,
  completion_tokens: usage.output,
  total_tokens: usage.input + usage.output,
  prompt_tokens_details: { cached_tokens: usage.cached },
  completion_tokens_details: { reasoning_tokens: usage.reasoning },
});

const openaiError = (message: string, type: string, code: string | null): string =>
  JSON.stringify({ error: { message, type, param: null, code } });

/** @see https://platform.openai.com/docs/guides/error-codes */
export function openaiRefusal(why: Refusal, model: string): { status: number; body: string; headers?: Record<string, string> } {
  switch (why) {
    case 'key':
      return {
        status: 401,
        body: openaiError(
          'Incorrect API key provided: test-bad*********6789. You can find your API key at https://platform.openai.com/account/api-keys.',
          'invalid_request_error',
          'invalid_api_key',
        ),
      };
    case 'model':
      return {
        status: 404,
        body: openaiError(
          `The model \`${model}\` does not exist or you do not have access to it.`,
          'invalid_request_error',
          'model_not_found',
        ),
      };
    case 'overflow':
      return {
        status: 400,
        body: openaiError(
          "This model's maximum context length is 128000 tokens. However, your messages resulted in 300012 tokens. Please reduce the length of the messages.",
          'invalid_request_error',
          'context_length_exceeded',
        ),
      };
    case 'rate':
      return {
        status: 429,
        headers: { 'retry-after': '7', 'x-ratelimit-reset-requests': '8s' },
        body: openaiError('Rate limit reached for requests per min.', 'requests', 'rate_limit_exceeded'),
      };
    case 'credit':
      return {
        status: 429,
        body: openaiError(
          'You exceeded your current quota, please check your plan and billing details.',
          'insufficient_quota',
          'insufficient_quota',
        ),
      };
    case 'overloaded':
      return { status: 503, body: openaiError('The engine is currently overloaded, please try again later.', 'server_error', null) };
    case 'broken':
      return { status: 500, body: openaiError('The server had an error while processing your request.', 'server_error', null) };
  }
}

export const openaiChatWire = openaiChatDialect({
  kind: 'openai-chat',
  basePath: '/v1',
  hasKey: true,
  usage: plainUsage,
  refuse: openaiRefusal,
  lacks: ['reasoning'],
});

/** vLLM, LM Studio and their like: OpenAI's answers, thoughts beside them, an error now and then inside a stream. */
export const openaiCompatibleWire = openaiChatDialect({
  kind: 'openai-compatible',
  basePath: '/v1',
  hasKey: true,
  usage: plainUsage,
  refuse: openaiRefusal,
  failure: sse({ error: { message: 'the engine died', type: 'server_error', code: 500 } }),
});

/** @see https://api-docs.deepseek.com/quick_start/error_codes */
export const deepseekWire = openaiChatDialect({
  kind: 'deepseek',
  basePath: '',
  hasKey: true,
  isUsageWithFinish: true,
  usage: (usage) => ({
    prompt_tokens: usage.input,
    completion_tokens: usage.output,
    total_tokens: usage.input + usage.output,
    prompt_cache_hit_tokens: usage.cached,
    prompt_cache_miss_tokens: usage.input - usage.cached,
    completion_tokens_details: { reasoning_tokens: usage.reasoning },
  }),
  lacks: ['images'],
  refuse(why, model) {
    switch (why) {
      case 'key':
        return {
          status: 401,
          body: openaiError('Authentication Fails, Your api key: ****6789 is invalid', 'authentication_error', 'invalid_request_error'),
        };
      case 'model':
        return { status: 400, body: openaiError('Model Not Exist', 'invalid_request_error', 'invalid_request_error') };
      case 'overflow':
        return {
          status: 400,
          body: openaiError(
            "This model's maximum context length is 65536 tokens. However, you requested 300012 tokens (299012 in the messages, 1000 in the completion). Please reduce the length of the messages or completion.",
            'invalid_request_error',
            'invalid_request_error',
          ),
        };
      case 'credit':
        return { status: 402, body: openaiError('Insufficient Balance', 'unknown_error', 'invalid_request_error') };
      case 'rate':
        return { status: 429, headers: { 'retry-after': '7' }, body: openaiError('Rate Limit Reached', 'rate_limit_error', null) };
      default:
        return openaiRefusal(why, model);
    }
  },
});

/** @see https://www.alibabacloud.com/help/en/model-studio/error-code */
export const qwenWire = openaiChatDialect({
  kind: 'qwen',
  basePath: '/compatible-mode/v1',
  hasKey: true,
  usage: plainUsage,
  refuse(why, model) {
    switch (why) {
      case 'overflow':
        return {
          status: 400,
          body: openaiError(
            '<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 129024]',
            'invalid_request_error',
            'invalid_parameter_error',
          ),
        };
      case 'rate':
        return {
          status: 429,
          headers: { 'retry-after': '7' },
          body: openaiError('Requests rate limit exceeded, please try again later.', 'limit_requests', 'limit_requests'),
        };
      case 'credit':
        return {
          status: 400,
          body: openaiError('Access denied, please make sure your account is in good standing.', 'Arrearage', 'Arrearage'),
        };
      default:
        return openaiRefusal(why, model);
    }
  },
});

/** @see https://docs.mistral.ai/api/ */
export const mistralWire = openaiChatDialect({
  kind: 'mistral',
  basePath: '/v1',
  hasKey: true,
  isUsageWithFinish: true,
  thought: (text) => ({ content: [{ type: 'thinking', thinking: [{ type: 'text', text }], closed: false }] }),
  usage: (usage) => ({
    prompt_tokens: usage.input,
    completion_tokens: usage.output,
    total_tokens: usage.input + usage.output,
    num_cached_tokens: usage.cached,
  }),
  lacks: ['reasoningTokens', 'argumentPieces'],
  refuse(why, model) {
    const mistralError = (message: string, type: string, code: string | null): string =>
      JSON.stringify({ object: 'error', message, type, param: null, code });
    switch (why) {
      case 'key':
        return { status: 401, body: JSON.stringify({ detail: 'Unauthorized' }) };
      case 'model':
        return { status: 400, body: mistralError(`Invalid model: ${model}`, 'invalid_model', '1500') };
      case 'overflow':
        return {
          status: 400,
          body: mistralError(
            'Prompt contains 300012 tokens and 0 draft tokens, too large for model with 131072 maximum context length',
            'invalid_request_prompt',
            '3051',
          ),
        };
      case 'rate':
        return { status: 429, headers: { 'retry-after': '7' }, body: mistralError('Rate limit exceeded', 'rate_limited', '1300') };
      case 'overloaded':
        return { status: 503, body: mistralError('Service unavailable.', 'unreachable_backend', '3000') };
      case 'broken':
        return { status: 500, body: mistralError('Internal server error', 'internal_server_error', '1000') };
      case 'credit':
        return { status: 402, body: mistralError('Payment required', 'payment_required', null) };
    }
  },
});

/** @see https://openrouter.ai/docs/api-reference/errors */
export const openrouterWire = openaiChatDialect({
  kind: 'openrouter',
  basePath: '/api/v1',
  hasKey: true,
  comment: ': OPENROUTER PROCESSING\n\n',
  thought: (text) => ({ content: '', reasoning: text, reasoning_details: [{ type: 'reasoning.text', text, format: 'unknown', index: 0 }] }),
  usage: (usage) => ({ ...plainUsage(usage), cost: 0.0123, is_byok: false }),
  failure: sse({
    id: 'gen-1',
    object: 'chat.completion.chunk',
    created: 1,
    model: 'test-model',
    provider: 'Somebody',
    error: { code: 502, message: 'Provider returned error' },
    choices: [{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: 'error' }],
  }),
  list: () => ({ path: '/api/v1/key', body: JSON.stringify({ data: { label: 'test', limit: null, usage: 1, is_free_tier: false } }) }),
  refuse(why, model) {
    const error = (code: number, message: string): { status: number; body: string } => ({
      status: code,
      body: JSON.stringify({ error: { code, message }, user_id: 'user_1' }),
    });
    switch (why) {
      case 'key':
        return error(401, 'No auth credentials found');
      case 'model':
        return error(400, `${model} is not a valid model ID`);
      case 'overflow':
        return error(
          400,
          "This endpoint's maximum context length is 128000 tokens. However, you requested about 300012 tokens (300012 of text input). Please reduce the length of either one.",
        );
      case 'credit':
        return error(402, 'Insufficient credits. Add more using https://openrouter.ai/settings/credits');
      case 'rate':
        return { ...error(429, 'Rate limit exceeded: free-models-per-min.'), headers: { 'retry-after': '7' } };
      case 'overloaded':
        return error(503, 'No instances available');
      case 'broken':
        return error(502, 'Provider returned error');
    }
  },
});

/** @see https://huggingface.co/docs/inference-providers */
export const huggingfaceWire = openaiChatDialect({
  kind: 'huggingface',
  basePath: '/v1',
  hasKey: true,
  finishOfCalls: 'stop',
  usage: plainUsage,
  refuse(why, model) {
    switch (why) {
      case 'key':
        return { status: 401, body: JSON.stringify({ error: 'Invalid username or password.' }) };
      case 'model':
        return {
          status: 400,
          body: openaiError(`The requested model '${model}' does not exist`, 'invalid_request_error', 'model_not_found'),
        };
      case 'credit':
        return { status: 402, body: JSON.stringify({ error: 'You have exceeded your monthly included credits for Inference Providers.' }) };
      default:
        return openaiRefusal(why, model);
    }
  },
});

/** @see https://docs.api.nvidia.com/nim/reference/llm-apis */
export const nvidiaWire = openaiChatDialect({
  kind: 'nvidia',
  basePath: '/v1',
  hasKey: true,
  usage: plainUsage,
  refuse(why, model) {
    const problem = (status: number, title: string, detail: string): { status: number; body: string } => ({
      status,
      body: JSON.stringify({ status, title, detail }),
    });
    switch (why) {
      case 'key':
        return problem(403, 'Forbidden', 'Authorization failed');
      case 'model':
        return problem(404, 'Not Found', `Function '${model}': Not found for account`);
      case 'credit':
        return problem(402, 'Payment Required', 'Account has no cloud credits left');
      case 'rate':
        return { ...problem(429, 'Too Many Requests', 'Too Many Requests'), headers: { 'retry-after': '7' } };
      case 'overflow':
        return {
          status: 400,
          body: JSON.stringify({
            object: 'error',
            message: "This model's maximum context length is 131072 tokens. However, you requested 300012 tokens.",
            type: 'BadRequestError',
            code: 400,
          }),
        };
      default:
        return openaiRefusal(why, model);
    }
  },
});

/** @see https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md */
export const llamaServerWire = openaiChatDialect({
  kind: 'llama-server',
  basePath: '/v1',
  hasKey: false,
  usage: (usage) => ({
    prompt_tokens: usage.input,
    completion_tokens: usage.output,
    total_tokens: usage.input + usage.output,
    prompt_tokens_details: { cached_tokens: usage.cached },
  }),
  lacks: ['reasoningTokens'],
  unknownRefusals: { key: 'it asks for none', rate: 'it queues', credit: 'it is free' },
  failure:
    'error: {"code":500,"message":"failed to decode the batch","type":"server_error"}\n\ndata: {"error":{"code":500,"message":"failed to decode the batch","type":"server_error"}}\n\n',
  refuse(why, model) {
    const error = (code: number, message: string, type: string, extra = {}): { status: number; body: string } => ({
      status: code,
      body: JSON.stringify({ error: { code, message, type, ...extra } }),
    });
    switch (why) {
      case 'overflow':
        return error(400, 'the request exceeds the available context size, try increasing it', 'exceed_context_size_error', {
          n_prompt_tokens: 300012,
          n_ctx: 8192,
        });
      case 'model':
        return error(400, `model '${model}' not found`, 'invalid_request_error');
      case 'overloaded':
        return error(503, 'Loading model', 'unavailable_error');
      default:
        return error(500, 'failed to process image', 'server_error');
    }
  },
});
