import { CodedError } from '@helixcode/protocol/errors';

const CERTIFICATE_FAULTS: Record<string, string> = {
  CERT_HAS_EXPIRED: 'has expired',
  CERT_NOT_YET_VALID: 'is not valid yet',
  CERT_REVOKED: 'was revoked',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'is signed by itself, and this machine does not trust it',
  SELF_SIGNED_CERT_IN_CHAIN: 'comes from an authority that this machine does not trust',
  UNABLE_TO_GET_ISSUER_CERT: 'comes from an authority that this machine does not trust',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'comes from an authority that this machine does not trust',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'comes from an authority that this machine does not trust',
};

const NETWORK_FAULTS: Record<string, string> = {
  EAI_AGAIN: 'its name cannot be looked up now',
  ECONNREFUSED: 'nothing listens there',
  ECONNRESET: 'the connection was broken off',
  EHOSTUNREACH: 'there is no way to that machine',
  ENETUNREACH: 'there is no way to that network',
  ENOTFOUND: 'no machine has that name',
  EPIPE: 'the connection was broken off',
  ETIMEDOUT: 'nothing answers there',
};

/** Why a server could not be dialled, from what the system says. */
export function dialError(url: string, cause: unknown): CodedError {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  const certificate = CERTIFICATE_FAULTS[code];
  if (certificate !== undefined)
    return new CodedError('server.certificate_refused', `the certificate of ${url} ${certificate}`, {
      next: `NODE_EXTRA_CA_CERTS=authority.pem helix worker join ${url}`,
      cause,
    });
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return new CodedError('server.certificate_refused', `the certificate of ${url} is for another name: ${(cause as Error).message}`, {
      next: 'helix worker join https://<a name in the certificate>',
      cause,
    });
  if (code === 'EPROTO' || code.startsWith('ERR_SSL_'))
    return new CodedError('server.certificate_refused', `what listens at ${url} does not speak TLS as this machine does`, {
      next: `helix worker join ${url.replace(/^https:/, 'http:')}`,
      cause,
    });
  const fact = NETWORK_FAULTS[code] ?? (cause instanceof Error ? cause.message : String(cause));
  return new CodedError('server.unreachable', `no server answers at ${url}: ${fact}`, {
    next: 'helix status   (on the machine of the server, which tells whether it runs and where)',
    cause,
  });
}
