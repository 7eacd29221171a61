import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { CodedError } from '@helixcode/protocol/errors';
import { replaceFile } from '../bootstrap/part.ts';
import { asLine, REMOTE_COMMAND } from '../bootstrap/remote-scripts.ts';
import type { HostKeyRow } from '../worker-row.ts';
import { findKnownKeys, knownHostsFile, parseKnownHosts } from './known-hosts.ts';
import { type ProcessEnd, ProcessStream } from './process-stream.ts';
import { type Askpass, openAskpass } from './ssh-askpass.ts';
import { sshConfig } from './ssh-config.ts';
import { sshError } from './ssh-errors.ts';
import type { DialTarget, SeenHostKey } from './worker-transport.ts';

const run = promisify(execFile);
const SCAN_WITHIN_MS = 15_000;

export interface SshSettings {
  /** Folder of the server for configurations and keys of workers, private to its user. */
  folder: string;
  userSshConfig: boolean;
}

/** What ssh makes of a worker's address together with the person's own configuration. */
interface ResolvedTarget {
  user: string;
  hostname: string;
  port: number;
  /** The name under which known_hosts files have it. */
  lookupName: string;
}

/** Everything needed to run ssh for one worker, again and again. Must be removed. */
export interface SshSession {
  /** As a person would name it. */
  target: string;
  /** Runs a program (see `remote-scripts.ts`) on the machine. */
  open(program: string): ProcessStream;
  /** Which key the machine shows now, whether or not it is trusted; nothing when it cannot be asked. */
  scanHostKey(): Promise<SeenHostKey | undefined>;
  /** Keys by which the person's own known_hosts files know the machine. */
  trustedKeys(): Promise<SeenHostKey[]>;
  /** Puts these keys in place of those the session began with. */
  pin(keys: readonly HostKeyRow[]): Promise<void>;
  remove(): Promise<void>;
}

/**
 * @param signal ends every ssh of the session
 * @throws CodedError `config.invalid` when ssh does not accept the address or its configuration
 */
export async function openSshSession(
  { worker, password, hostKeys }: DialTarget,
  settings: SshSettings,
  signal: AbortSignal,
): Promise<SshSession> {
  const folder = join(settings.folder, worker.id);
  const configFile = join(folder, 'config');
  const knownHosts = join(folder, 'known_hosts');
  const host = worker.address.host ?? '';
  const config = sshConfig({
    workerName: worker.name,
    address: worker.address,
    hasPassword: password !== undefined,
    knownHostsFile: knownHosts,
    userSshConfig: settings.userSshConfig,
  });
  await replaceFile(configFile, config);
  const resolved = await resolve(worker.name, configFile, host);
  const pin = (keys: readonly HostKeyRow[]): Promise<void> => replaceFile(knownHosts, knownHostsFile(resolved.lookupName, keys));
  await pin(hostKeys);
  const target = `${resolved.user}@${resolved.hostname}:${resolved.port}`;
  const askpass: Askpass | undefined =
    password === undefined
      ? undefined
      : await openAskpass(folder, password, [...new Set([`${resolved.user}@${resolved.hostname}`, `${resolved.user}@${host}`])]);
  const env = { ...sshEnvironment(), ...askpass?.env };

  const explain = (end: ProcessEnd): CodedError | undefined => {
    if (end.startError) return cannotRunSsh(end.startError);
    if (end.exitCode === 0) return undefined;
    return sshError({ workerName: worker.name, target, ...end });
  };

  return {
    target,
    pin,

    open(program) {
      // In a session of its own: without a terminal there is nobody ssh could ask, and no Ctrl-C that reaches it.
      const child = spawn('ssh', ['-F', configFile, '-T', '--', host, REMOTE_COMMAND], { env, detached: true, stdio: 'pipe' });
      const stream = new ProcessStream(child, explain);
      endWith(signal, stream);
      stream.write(asLine(program));
      return stream;
    },

    async scanHostKey() {
      const scratch = await mkdtemp(join(tmpdir(), 'helix-scan-'));
      const file = join(scratch, 'known_hosts');
      // On the command line, so that it is only the machine itself that is asked this way, and not a jump host before it.
      const args = [
        '-F',
        configFile,
        '-T',
        '-o',
        'StrictHostKeyChecking=no',
        '-o',
        `UserKnownHostsFile=${file}`,
        '-o',
        'GlobalKnownHostsFile=/dev/null',
        '-o',
        'HashKnownHosts=no',
        '-o',
        'PreferredAuthentications=none',
        '-o',
        'BatchMode=yes',
        '--',
        host,
        'exit',
      ];
      try {
        // Nobody can sign in without a way to do so: ssh ends with an error, after it has noted the key.
        await run('ssh', args, { env: sshEnvironment(), timeout: SCAN_WITHIN_MS, signal }).catch(() => {});
        return parseKnownHosts(await readFile(file, 'utf8').catch(() => ''), false)[0];
      } finally {
        await rm(scratch, { recursive: true, force: true });
      }
    },

    async trustedKeys() {
      const own = worker.address.knownHostsFile;
      // ssh, too, goes by the list of accounts, not by $HOME.
      const files = [join(userInfo().homedir, '.ssh', 'known_hosts'), '/etc/ssh/ssh_known_hosts', ...(own === undefined ? [] : [own])];
      return (await Promise.all(files.map((file) => findKnownKeys(resolved.lookupName, file)))).flat();
    },

    async remove() {
      await askpass?.remove();
    },
  };
}

function endWith(signal: AbortSignal, stream: ProcessStream): void {
  const end = (): void => void stream.destroy(signal.reason instanceof Error ? signal.reason : undefined);
  if (signal.aborted) return end();
  signal.addEventListener('abort', end, { once: true });
  stream.once('close', () => signal.removeEventListener('abort', end));
}

async function resolve(workerName: string, configFile: string, host: string): Promise<ResolvedTarget> {
  let printed: string;
  try {
    printed = (await run('ssh', ['-F', configFile, '-G', '--', host], { env: sshEnvironment() })).stdout;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw cannotRunSsh(error as Error);
    const { stderr = '' } = error as { stderr?: string };
    throw (
      sshError({ workerName, target: host, stderr, exitCode: 255, signal: null }) ??
      new CodedError('config.invalid', `ssh does not accept the address ${host}`, { cause: error })
    );
  }
  const options = new Map(
    printed.split('\n').map((line) => [line.slice(0, line.indexOf(' ')), line.slice(line.indexOf(' ') + 1)] as const),
  );
  const hostname = options.get('hostname') ?? host;
  const port = Number(options.get('port') ?? 22);
  const lookupName = options.get('hostkeyalias') ?? (port === 22 ? hostname : `[${hostname}]:${port}`);
  return { user: options.get('user') ?? '', hostname, port, lookupName };
}

function cannotRunSsh(cause: Error): CodedError {
  return new CodedError('worker.bootstrap_failed', 'there is no program `ssh` on the machine of the server', {
    next: 'install the OpenSSH client',
    cause,
  });
}

/** What ssh needs to find its user's files and agent; nothing else of the server's environment goes along. */
function sshEnvironment(): Record<string, string> {
  const names = ['PATH', 'HOME', 'USER', 'LOGNAME', 'LANG', 'SSH_AUTH_SOCK', 'KRB5CCNAME', 'XDG_RUNTIME_DIR', 'XDG_CONFIG_HOME', 'TMPDIR'];
  return Object.fromEntries(names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])));
}
