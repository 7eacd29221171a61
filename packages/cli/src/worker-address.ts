import { CodedError } from '@helixcode/protocol/errors';

export interface WorkerAddress {
  host: string;
  user?: string;
  port?: number;
}

/**
 * Reads `user@host:port`, where user and port may be absent; an IPv6 address with a port stands in brackets.
 * @throws CodedError `cli.bad_usage`
 */
export function parseAddress(text: string): WorkerAddress {
  const [, user, bracketed, plain, port] =
    /^(?:([^@\s]+)@)?(?:\[([0-9A-Fa-f:.%]+)\]|([^\s:@[\]]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined || host.startsWith('-') || user?.startsWith('-') || Number(port ?? 1) < 1 || Number(port ?? 1) > 65_535)
    throw new CodedError('cli.bad_usage', `${text} is not an address like user@host or user@host:22`, { next: 'helix workers add --help' });
  return { host, ...(user !== undefined && { user }), ...(port !== undefined && { port: Number(port) }) };
}
