import { CodedError } from '@helixcode/protocol/errors';
import type { WorkerAddress } from '../worker-row.ts';

export interface SshConfigOptions {
  workerName: string;
  address: WorkerAddress;
  hasPassword: boolean;
  /** Our own pinned and revoked keys of this worker. */
  knownHostsFile: string;
  /** Whether ssh reads `~/.ssh/config` of the server's user, and the system's. */
  userSshConfig: boolean;
}

/**
 * The configuration file for one worker's ssh.
 *
 * A file, because options of a command line do not reach the process that ssh starts for a jump host. The first value
 * of an option wins, so what the link depends on stands first, and the person's own file, with their `Host` names, jump
 * hosts and proxy commands, comes after it:
 * - no shared connection: when its master ends, everyone on it loses the link
 * - no terminal, remote command or escape character: the link is a clean byte stream
 * - no forwarding: nothing of the server is offered to the worker
 * - host keys are checked, always, and nothing but a person adds one
 *
 * @throws CodedError `config.invalid` for what would not mean the same inside such a file
 */
export function sshConfig({ workerName, address, hasPassword, knownHostsFile, userSshConfig }: SshConfigOptions): string {
  const host = checkWord(workerName, 'host', address.host ?? '');
  const knownHosts = [knownHostsFile, '~/.ssh/known_hosts', ...(address.knownHostsFile === undefined ? [] : [address.knownHostsFile])];
  const own = [
    address.user !== undefined && `User ${checkWord(workerName, 'user', address.user)}`,
    address.port !== undefined && `Port ${address.port}`,
    // With a key named, others are not offered: a machine closes the connection after a few it does not know.
    address.identityFile !== undefined && `IdentityFile ${quote(workerName, 'identityFile', address.identityFile)}`,
    address.identityFile !== undefined && 'IdentitiesOnly yes',
    hasPassword && 'BatchMode no',
    hasPassword && 'NumberOfPasswordPrompts 1',
    hasPassword && `PreferredAuthentications ${address.identityFile === undefined ? '' : 'publickey,'}password,keyboard-interactive`,
  ].filter((line) => line !== false);

  return [
    `Host ${host}`,
    ...own.map((line) => `  ${line}`),
    'Host *',
    ...[
      'BatchMode yes',
      'StrictHostKeyChecking yes',
      `UserKnownHostsFile ${knownHosts.map((file) => quote(workerName, 'knownHostsFile', file)).join(' ')}`,
      'UpdateHostKeys no',
      'CheckHostIP no',
      'ConnectTimeout 10',
      'ConnectionAttempts 1',
      'ServerAliveInterval 10',
      'ServerAliveCountMax 3',
      'TCPKeepAlive yes',
      'ControlMaster no',
      'ControlPath none',
      'ControlPersist no',
      'RemoteCommand none',
      'RequestTTY no',
      'SessionType default',
      'StdinNull no',
      'ForkAfterAuthentication no',
      'PermitLocalCommand no',
      'ForwardAgent no',
      'ForwardX11 no',
      'ClearAllForwardings yes',
      'EscapeChar none',
      'Compression no',
      'LogLevel ERROR',
    ].map((line) => `  ${line}`),
    ...(userSshConfig ? ['Include ~/.ssh/config', 'Include /etc/ssh/ssh_config'] : []),
    '',
  ].join('\n');
}

/** A name that is one word of a configuration line, no pattern and no option. */
function checkWord(workerName: string, key: string, value: string): string {
  if (/^[A-Za-z0-9_.:[\]%@+][A-Za-z0-9_.:[\]%@+-]*$/.test(value)) return value;
  throw new CodedError('config.invalid', `worker ${workerName}: ${JSON.stringify(value)} is not a ${key} that ssh can be given`, {
    next: `helix workers add ${workerName} user@host`,
  });
}

/** ssh replaces `%x` and `${NAME}` in file names; here they mean themselves. */
function quote(workerName: string, key: string, path: string): string {
  if (/["\n\r]|\$\{/.test(path))
    throw new CodedError(
      'config.invalid',
      `worker ${workerName}: ${JSON.stringify(path)} cannot be the ${key}: ssh gives its characters another meaning`,
      {
        next: 'rename the file',
      },
    );
  return `"${path.replaceAll('%', '%%')}"`;
}
