import type { IncomingHttpHeaders } from 'node:http';
import { BEARER_PROTOCOL } from '@helixcode/protocol/api/route-paths';

/**
 * The token of a request: `Authorization: Bearer <token>`, or, where a browser opens a WebSocket and cannot set that
 * header, the sub-protocol `bearer.<token>`. Never the address: addresses end up in logs and histories.
 */
export function bearerToken(headers: IncomingHttpHeaders): string | undefined {
  const { authorization } = headers;
  if (authorization !== undefined) return /^Bearer +(\S+)$/i.exec(authorization)?.[1] ?? authorization;
  if (headers.upgrade?.toLowerCase() !== 'websocket') return undefined;
  return headers['sec-websocket-protocol']
    ?.split(',')
    .map((protocol) => protocol.trim())
    .find((protocol) => protocol.startsWith(BEARER_PROTOCOL))
    ?.slice(BEARER_PROTOCOL.length);
}
