import { CodedError } from '@helixcode/protocol/errors';

export interface SshFailure {
  workerName: string;
  /** As a person would name it: `user@host:port`. */
  target: string;
  /** What ssh and the far side wrote on stderr. */
  stderr: string;
  exitCode: number | null;
  signal: NodeJS.Signals | null;
}

interface Cause {
  seen: RegExp;
  /** Said by the machine's own login, not by ssh, which then passes on that login's exit status. */
  isFarSide?: true;
  toError(failure: SshFailure, match: RegExpExecArray): CodedError;
}

/** ssh says one of these and then ends with 255, whatever the cause; the first that fits is the cause. */
const CAUSES: readonly Cause[] = [
  {
    seen: /REVOKED HOST KEY DETECTED|is marked as revoked|[Hh]ost key .* (?:is|was) revoked/,
    toError: ({ workerName, target }) =>
      new CodedError('worker.host_key_revoked', `${target} showed a host key that was revoked: this is not the machine it was`, {
        next: `find out who answers at ${target}, then \`helix workers show ${workerName}\``,
      }),
  },
  {
    seen: /REMOTE HOST IDENTIFICATION HAS CHANGED/,
    toError: ({ workerName, target }) =>
      new CodedError(
        'worker.host_key_changed',
        `${target} showed another host key than before: it was set up anew, or somebody is in between`,
        {
          next: `compare the fingerprint at the machine itself, then \`helix workers accept-key ${workerName} SHA256:…\``,
        },
      ),
  },
  {
    seen: /No .* host key is known for .* and you have requested strict checking|Host key verification failed/,
    toError: ({ workerName, target }) =>
      new CodedError('worker.host_key_unknown', `the host key of ${target} has not been accepted yet`, {
        next: `helix workers accept-key ${workerName} SHA256:…`,
      }),
  },
  {
    seen: /kex_exchange_identification: (?:read: Connection reset by peer|Connection closed by remote host|client sent invalid protocol)|Not allowed at this time|Exceeded MaxStartups/,
    toError: ({ target }) =>
      new CodedError(
        'worker.unreachable',
        `${target} takes no more connections at the moment (its sshd limits those that are signing in: MaxStartups)`,
        {
          next: 'nothing: it is dialled again by itself',
          details: { isOverloaded: true },
        },
      ),
  },
  {
    isFarSide: true,
    seen: /This account is currently not available|nologin|account is not available|Account (?:is )?(?:locked|disabled|expired)/i,
    toError: ({ workerName, target, stderr }) =>
      new CodedError('worker.no_shell', `the account at ${target} may not run commands: ${lastLine(stderr)}`, {
        next: `give the account a shell (on the machine: \`usermod --shell /bin/sh <user>\`), then \`helix workers reconnect ${workerName}\``,
      }),
  },
  {
    seen: /(?:UNPROTECTED PRIVATE KEY FILE|bad permissions)/,
    toError: ({ workerName, stderr }) => {
      const file = /(?:Permissions \d+ for|Load key) ['"]([^'"]+)['"]/.exec(stderr)?.[1] ?? 'the private key';
      return new CodedError('worker.auth_refused', `ssh does not use ${file}: others can read it`, {
        next: `chmod 600 ${file}, then \`helix workers reconnect ${workerName}\``,
      });
    },
  },
  {
    seen: /Too many authentication failures/,
    toError: ({ workerName, target }) =>
      new CodedError('worker.auth_refused', `${target} was offered more keys than it looks at`, {
        next: `name the right key: \`helix workers add ${workerName} … --identity FILE\``,
      }),
  },
  {
    seen: /(\S+): Permission denied \(([^)]*)\)|Permission denied \(([^)]*)\)|No supported authentication methods/,
    toError: ({ workerName, target, stderr }, match) => {
      const key = /(?:Load key|identity file|no such identity:) "?([^":]+)"?: ([^\n\r]+)/.exec(stderr);
      const ways = match[2] ?? match[3];
      return new CodedError(
        'worker.auth_refused',
        `${match[1] ?? target} refused the login${ways ? ` (it takes ${ways})` : ''}${key ? `; the key ${key[1]} could not be used: ${key[2]}` : ''}`,
        {
          next: ways?.includes('publickey')
            ? `put the server's public key into ~/.ssh/authorized_keys of the account, or give its password, then \`helix workers reconnect ${workerName}\``
            : `helix workers reconnect ${workerName} --password`,
        },
      );
    },
  },
  {
    seen: /Could not resolve hostname ([^\s:]+): ([^\n\r]+)/,
    toError: ({ workerName }, match) =>
      new CodedError('worker.unreachable', `no address is known for ${match[1]}: ${match[2]}`, {
        next: `check the name, or \`helix workers remove ${workerName} --force\``,
      }),
  },
  {
    seen: /connect to (?:host|address) (\S+) port (\d+): ([^\n\r]+)/,
    toError: ({ workerName }, match) =>
      new CodedError('worker.unreachable', `${match[1]} port ${match[2]}: ${match[3]}`, {
        next: `check that the machine is on and its sshd listens there, then \`helix workers reconnect ${workerName}\``,
      }),
  },
  {
    seen: /(?:Unable to negotiate with|no matching) [^\n\r]*/,
    toError: ({ target }, match) =>
      new CodedError('worker.unreachable', `ssh and ${target} have no way of encryption in common: ${match[0]}`, {
        next: 'update the older of the two, or allow the algorithm in ~/.ssh/config',
      }),
  },
  {
    seen: /(?:Bad configuration option|terminating, \d+ bad configuration options|unsupported option|[Bb]ad .* argument|keyword \S+ extra arguments)[^\n\r]*/,
    toError: ({ stderr }) =>
      new CodedError('config.invalid', `ssh does not accept its configuration: ${stderr.trim().split('\n')[0]}`, {
        next: 'mend ~/.ssh/config',
      }),
  },
  {
    isFarSide: true,
    seen: /'exec' is not recognized|The term 'exec'|The system cannot find the path specified|is not recognized as (?:an internal|the name)/,
    toError: ({ target }) =>
      new CodedError('worker.platform_unsupported', `${target} is a Windows machine, which this server cannot install a worker on by ssh`, {
        next: 'use the Linux of the machine (WSL) and its own sshd',
      }),
  },
  {
    seen: /Timeout, server (\S+) not responding|Connection (?:to \S+ )?timed out|Operation timed out|Broken pipe|Connection reset|Connection (?:to \S+ )?closed|Network is unreachable|No route to host|stdio forwarding failed|open failed: connect failed/,
    toError: ({ workerName, target, stderr }) =>
      new CodedError('worker.unreachable', `the connection to ${target} broke: ${lastLine(stderr)}`, {
        next: `helix workers reconnect ${workerName}`,
      }),
  },
];

/**
 * Tells from what ssh wrote why there is no connection.
 *
 * @returns `undefined` when ssh itself was content and the far side's command ended
 */
export function sshError(failure: SshFailure): CodedError | undefined {
  const isOfSsh = failure.exitCode === 255 || failure.exitCode === null;
  for (const { seen, isFarSide, toError } of CAUSES) {
    if (!isOfSsh && !isFarSide) continue;
    const match = seen.exec(failure.stderr);
    if (match) return withDetails(toError(failure, match), failure);
  }
  if (!isOfSsh) return undefined;
  const how = failure.signal ? `ssh was ended by ${failure.signal}` : 'ssh ended';
  return withDetails(
    new CodedError(
      'worker.link_lost',
      `the connection to ${failure.target} is gone: ${how}${failure.stderr.trim() ? ` (${lastLine(failure.stderr)})` : ''}`,
    ),
    failure,
  );
}

function withDetails(error: CodedError, { stderr }: SshFailure): CodedError {
  const said = stderr.trim().slice(-2_000);
  return new CodedError(error.code, error.message, { next: error.next, details: { ...error.details, ...(said && { ssh: said }) } });
}

export function lastLine(text: string): string {
  return text.trim().split('\n').at(-1)?.trim() ?? '';
}
