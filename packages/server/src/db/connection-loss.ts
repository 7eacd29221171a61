import { CodedError } from '@helixcode/protocol/errors';

const lossCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOENT',
  'EAI_AGAIN',
  // SQLSTATE: shut down by the administrator, crashed, not yet (or no longer) accepting, too many connections.
  '57P01',
  '57P02',
  '57P03',
  '53300',
]);

/** Wrong address, name or password: waiting does not help, correcting it does. */
const wrongAddressCodes = new Set(['ENOTFOUND', '28000', '28P01', '3D000']);

/** What pg says, without a code, about a connection that is gone or could not be had. */
const lossMessages = /^Connection terminated|connection error and is not queryable|timeout exceeded when trying to connect/;

/** Whether the connection is gone or could not be had, as opposed to a statement refused on a good one. */
function isConnectionLoss(error: unknown): error is Error {
  if (!(error instanceof Error)) return false;
  const code = codeOf(error);
  return lossCodes.has(code) || wrongAddressCodes.has(code) || code.startsWith('08') || lossMessages.test(error.message);
}

/**
 * Whether a statement was prepared before its table got another column: it never runs again on that connection
 * (a newer server migrated the database we share).
 */
export function isStalePlan(error: unknown): error is Error {
  return error instanceof Error && codeOf(error) === '0A000' && error.message.includes('cached plan');
}

/** Whether the database undid a transaction because it and others waited for each other: nothing of it has happened. */
export function isDeadlock(error: unknown): boolean {
  return error instanceof Error && codeOf(error) === '40P01';
}

/** A connection that is lost, or spent by a stale plan, as `database.unavailable`; everything else as it is. */
export function asUnavailable(error: unknown): unknown {
  if (!isConnectionLoss(error) && !isStalePlan(error)) return error;
  const isWrongAddress = wrongAddressCodes.has(codeOf(error));
  return new CodedError('database.unavailable', `the database does not answer: ${error.message || codeOf(error)}`, {
    next: isWrongAddress ? 'check DATABASE_URL' : 'try again; `helix status` tells when it is back',
    cause: error,
  });
}

function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : '';
}
