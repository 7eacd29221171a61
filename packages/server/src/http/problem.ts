import { STATUS_CODES } from 'node:http';
import type { Problem } from '@helixcode/protocol/api/routes';
import { CodedError, ERROR_CODES } from '@helixcode/protocol/errors';

/** Something broke inside: what, is for the log only. The caller gets the number under which to find it there. */
export function internalError(requestId: string): CodedError {
  return new CodedError('api.internal', `the server failed to answer request ${requestId}`, {
    next: `look for ${requestId} in the server's log; \`helix status\` names the file`,
  });
}

/** @see RFC 9457 (problem details): without a page of its own a problem is titled as its status. */
export function toProblem(error: CodedError, requestId: string): Problem {
  const { http, retryable } = ERROR_CODES[error.code];
  return {
    type: 'about:blank',
    title: STATUS_CODES[http] ?? 'Error',
    status: http,
    detail: error.message,
    code: error.code,
    ...(error.next !== undefined && { next: error.next }),
    retryable,
    requestId,
    ...(error.details !== undefined && { details: error.details }),
  };
}

/** What HTTP itself refuses before a route is asked, by the code of Fastify's error. */
const REFUSALS: Record<string, (message: string) => CodedError> = {
  FST_ERR_CTP_BODY_TOO_LARGE: () =>
    new CodedError('api.payload_too_large', 'the body is larger than 1 MiB', { next: 'send less, or in several requests' }),
  FST_ERR_CTP_INVALID_MEDIA_TYPE: (message) =>
    new CodedError('api.media_type_unsupported', `the body cannot be read: ${message}`, {
      next: 'send it as application/json, or as /api/openapi.json says for this operation',
    }),
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: () => new CodedError('api.bad_request', 'the body is not as long as content-length says'),
  FST_ERR_BAD_URL: () => new CodedError('api.bad_request', 'the address holds a malformed % sequence'),
  FST_ERR_MAX_PARAM_LENGTH: () => new CodedError('api.bad_request', 'a name in the path is too long'),
  FST_ERR_CTP_BODY_ABORTED: () => new CodedError('api.bad_request', 'the body ended early'),
};

/** A refusal as one of ours; `undefined` for a fault of our own. */
export function asRefusal(error: unknown): CodedError | undefined {
  if (error instanceof CodedError) return error;
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return undefined;
  return REFUSALS[error.code]?.(error.message);
}
