import { type Asked, halves, type Refusal, type Say, sse, type Wire } from './wire.ts';

interface Part {
  text?: string;
  thought?: boolean;
  inlineData?: { mimeType: string; data: string };
  functionCall?: { name: string; args: unknown };
  functionResponse?: { name: string; response: { content?: unknown; error?: unknown } };
}
interface Content {
  role: string;
  parts: Part[];
}

function read(body: Record<string, unknown>, path: string): Asked {
  const contents = body['contents'] as Content[];
  const parts = (role: string): Part[] => contents.filter((content) => content.role === role).flatMap((content) => content.parts);
  const everyPart = contents.flatMap((content) => content.parts);
  const config = (body['generationConfig'] ?? {}) as {
    maxOutputTokens?: number;
    responseMimeType?: string;
    responseSchema?: unknown;
    responseJsonSchema?: unknown;
  };
  const tools = (body['tools'] ?? []) as { functionDeclarations?: { name: string }[] }[];
  const hasSchema = config.responseSchema !== undefined || config.responseJsonSchema !== undefined;
  return {
    model: /models\/([^:]+):/.exec(path)?.[1] ?? '',
    system: ((body['systemInstruction'] as Content | undefined)?.parts ?? []).map(({ text }) => text ?? ''),
    user: parts('user').flatMap(({ text }) => (text === undefined ? [] : [text])),
    images: everyPart.flatMap(({ inlineData }) => (inlineData ? [{ mediaType: inlineData.mimeType, base64: inlineData.data }] : [])),
    tools: tools.flatMap((tool) => (tool.functionDeclarations ?? []).map(({ name }) => name)),
    earlierCalls: parts('model').flatMap(({ functionCall }) =>
      functionCall ? [{ tool: functionCall.name, input: functionCall.args }] : [],
    ),
    results: everyPart.flatMap(({ functionResponse }) =>
      functionResponse ? [String(functionResponse.response.content ?? functionResponse.response.error)] : [],
    ),
    output: config.responseMimeType !== 'application/json' ? undefined : hasSchema ? 'schema' : 'json',
    maxOutputTokens: config.maxOutputTokens,
    body,
  };
}

function answer(say: Say, model: string): string[] {
  const piece = (parts: Part[], extra = {}): string =>
    sse({ candidates: [{ content: { role: 'model', parts }, index: 0, ...extra }], modelVersion: model, responseId: 'r1' });
  const usage = say.usage && {
    promptTokenCount: say.usage.input,
    cachedContentTokenCount: say.usage.cached,
    // Thoughts are counted beside the answer here, not in it.
    candidatesTokenCount: say.usage.output - say.usage.reasoning,
    thoughtsTokenCount: say.usage.reasoning,
    totalTokenCount: say.usage.input + say.usage.output,
  };
  return [
    ...(say.think === undefined ? [] : halves(say.think).map((text) => piece([{ text, thought: true }]))),
    ...(say.text === undefined ? [] : halves(say.text).map((text) => piece([{ text }]))),
    ...(say.calls ?? []).map((call, index) =>
      piece([
        {
          functionCall: { id: call.id, name: call.tool, args: call.input },
          ...(index === 0 && { thoughtSignature: 'sealed-thought' }),
        } as Part,
      ]),
    ),
    sse({
      candidates: [
        { content: { role: 'model', parts: [{ text: '' }] }, finishReason: say.stop === 'length' ? 'MAX_TOKENS' : 'STOP', index: 0 },
      ],
      modelVersion: model,
      ...(usage && { usageMetadata: usage }),
    }),
  ];
}

const error = (code: number, status: string, message: string, details: unknown[] = []): { status: number; body: string } => ({
  status: code,
  body: JSON.stringify({ error: { code, message, status, ...(details.length > 0 && { details }) } }),
});

/** @see https://ai.google.dev/api/generate-content and https://ai.google.dev/gemini-api/docs/troubleshooting */
export const geminiWire: Wire = {
  kind: 'gemini',
  basePath: '/v1beta',
  contentType: 'text/event-stream',
  isChat: (path) => /^\/v1beta\/models\/[^/:]+:streamGenerateContent\?alt=sse$/.test(path),
  keyOf: (headers) => headers['x-goog-api-key'] as string | undefined,
  read,
  answer,
  garbage: 'data: {"candidates":[{"content":\n\n',
  lacks: ['argumentPieces'],
  refuse(why: Refusal, model: string) {
    switch (why) {
      case 'key':
        return error(400, 'INVALID_ARGUMENT', 'API key not valid. Please pass a valid API key.', [
          { '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason: 'API_KEY_INVALID', domain: 'googleapis.com' },
        ]);
      case 'model':
        return error(
          404,
          'NOT_FOUND',
          `models/${model} is not found for API version v1beta, or is not supported for generateContent. Call ListModels to see the list of available models.`,
        );
      case 'overflow':
        return error(400, 'INVALID_ARGUMENT', 'The input token count (1300012) exceeds the maximum number of tokens allowed (1048576).');
      case 'rate':
        return error(429, 'RESOURCE_EXHAUSTED', 'Resource has been exhausted (e.g. check quota).', [
          { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '7s' },
        ]);
      case 'credit':
        return error(429, 'RESOURCE_EXHAUSTED', 'You exceeded your current quota, please check your plan and billing details.');
      case 'overloaded':
        return error(503, 'UNAVAILABLE', 'The model is overloaded. Please try again later.');
      case 'broken':
        return error(500, 'INTERNAL', 'An internal error has occurred.');
    }
  },
  list: (models) => ({ path: '/v1beta/models', body: JSON.stringify({ models: models.map((id) => ({ name: `models/${id}` })) }) }),
};
