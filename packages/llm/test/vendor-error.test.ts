import { describe, expect, test } from 'vitest';
import { vendorError } from '../src/providers/vendor-error.ts';

const call = { provider: 'acme', model: 'm1', keyVariable: 'ACME_API_KEY', secrets: ['s3cret-key-of-mine'] };
const nowMs = Date.UTC(2026, 0, 1);

describe('which error a refusal is', () => {
  test.each([
    {
      told: 'a limit per minute in the words of a quota',
      status: 429,
      body: '{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"You exceeded your current quota, please check your plan and billing details.","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"17s"}]}}',
      code: 'model.rate_limited',
    },
    { told: 'a page of a proxy', status: 502, body: '<html><body>Bad Gateway</body></html>', code: 'model.vendor_failed' },
    { told: 'nothing at all', status: 500, body: '', code: 'model.vendor_failed' },
    {
      told: 'a wrong parameter',
      status: 400,
      body: '{"error":{"message":"temperature must be at most 2"}}',
      code: 'model.request_refused',
    },
    { told: 'too large a body', status: 413, body: '', code: 'model.context_overflow' },
    { told: 'a bare 404', status: 404, body: '', code: 'model.unknown' },
    {
      told: 'an answer limit and a prompt that are too much together',
      status: 400,
      body: '{"type":"error","error":{"type":"invalid_request_error","message":"input length and `max_tokens` exceed context limit: 199000 + 8192 > 200000, decrease input length or `max_tokens` and try again"}}',
      code: 'model.context_overflow',
    },
    {
      told: 'an error inside a stream',
      status: undefined,
      body: '{"type":"overloaded_error","message":"Overloaded"}',
      code: 'model.overloaded',
    },
    {
      told: 'a limit inside a stream',
      status: undefined,
      body: '{"code":429,"message":"Rate limit exceeded"}',
      code: 'model.rate_limited',
    },
  ])('$told is $code', ({ status, body, code }) => {
    expect(vendorError({ status, body }, call, nowMs).code).toBe(code);
  });
});

describe('how long to wait', () => {
  test.each([
    [{ 'retry-after-ms': '1500', 'retry-after': '9' }, '', 1500],
    [{ 'retry-after': '9' }, '', 9000],
    [{ 'retry-after': 'Thu, 01 Jan 2026 00:00:05 GMT' }, '', 5000],
    [{}, '{"error":{"details":[{"retryDelay":"2.5s"}]}}', 2500],
    [{ 'x-ratelimit-reset-requests': '1m2s' }, '', 62_000],
    [{}, '', undefined],
  ])('%j and %s', (headers, body, expected) => {
    expect(
      vendorError({ status: 429, headers: new Headers(headers as Record<string, string>), body }, call, nowMs).details?.['retryAfterMs'],
    ).toBe(expected);
  });
});

test('a key never stands in a message, neither ours nor one that looks like a key', () => {
  const { message } = vendorError(
    { status: 400, body: '{"error":{"message":"bad header s3cret-key-of-mine and xai-abcdefghijklmnop"}}' },
    call,
    nowMs,
  );

  expect(message).toBe('acme/m1 refused the request: bad header [key] and [key]');
});

test('the two numbers of an overflow are told to programs', () => {
  const { details } = vendorError(
    { status: 400, body: '{"error":{"message":"prompt is too long: 213,462 tokens > 200,000 maximum"}}' },
    call,
    nowMs,
  );

  expect(details).toMatchObject({ contextTokens: 200_000, promptTokens: 213_462 });
});

test('a long answer of a vendor is shortened, a page of HTML left out', () => {
  expect(vendorError({ status: 400, body: 'x '.repeat(2000) }, call, nowMs).message.length).toBeLessThan(400);
  expect(vendorError({ status: 502, body: '<html>' }, call, nowMs).message).toBe('acme failed while answering for m1 (HTTP 502)');
});
