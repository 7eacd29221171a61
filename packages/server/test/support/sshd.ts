import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const SSHD = ['/usr/sbin/sshd', '/usr/local/sbin/sshd', '/usr/bin/sshd'].find((path) => existsSync(path));

/** Why tests that need a real sshd cannot run here; `undefined` where they can. */
export const noSshd: string | undefined = SSHD
  ? undefined
  : 'NO SSHD ON THIS MACHINE: everything that needs one is NOT tested (install openssh-server)';
if (noSshd) process.stderr.write(`\n*** ${noSshd}\n\n`);

export interface TestSshd {
  host: string;
  port: number;
  user: string;
  /** A private key whose public half may sign in. */
  identityFile: string;
  /** `SHA256:…` of the host key. */
  fingerprint: string;
  /** A known_hosts file with the right key. */
  knownHostsFile: string;
  /** What sshd wrote so far. */
  log(): string;
  stop(): Promise<void>;
  start(): Promise<void>;
  /** Makes a new host key; it shows from the next start on. */
  changeHostKey(): void;
  remove(): Promise<void>;
}

export interface SshdOptions {
  /** Lines of sshd_config put before ours. */
  config?: string[];
  /** Lines at the end, such as a `Match` block. */
  matches?: string[];
  /** Shell commands run, as root, in a mount namespace of their own in which sshd then lives. */
  mounts?: string;
}

/** A real sshd on loopback with keys of its own. Without root only this very user can sign in, which is enough. */
export async function givenSshd(options: SshdOptions = {}): Promise<TestSshd> {
  if (!SSHD) throw new Error(noSshd);
  const sshd = SSHD;
  const folder = mkdtempSync(join(tmpdir(), 'helix-sshd-'));
  const isRoot = userInfo().uid === 0;
  // sshd does not start as root without it.
  if (isRoot) mkdirSync('/run/sshd', { recursive: true, mode: 0o755 });
  const hostKey = join(folder, 'host_key');
  const identityFile = join(folder, 'id');
  const makeKey = (file: string): void => {
    rmSync(file, { force: true });
    rmSync(`${file}.pub`, { force: true });
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'test', '-f', file]);
  };
  makeKey(hostKey);
  makeKey(identityFile);
  // Whoever signs in as another account must be able to come this far.
  chmodSync(folder, 0o755);
  writeFileSync(join(folder, 'authorized_keys'), readFileSync(`${identityFile}.pub`), { mode: 0o644 });
  const port = await freePort();
  const config = join(folder, 'sshd_config');
  writeFileSync(
    config,
    [
      ...(options.config ?? []),
      `Port ${port}`,
      'ListenAddress 127.0.0.1',
      `HostKey ${hostKey}`,
      'PidFile none',
      'UsePAM no',
      'StrictModes no',
      `AuthorizedKeysFile ${join(folder, 'authorized_keys')}`,
      'PubkeyAuthentication yes',
      'PrintMotd no',
      'PrintLastLog no',
      'UseDNS no',
      'LogLevel INFO',
      ...(isRoot ? ['PermitRootLogin yes'] : []),
      ...(options.matches ?? []),
      '',
    ].join('\n'),
  );

  let child: ChildProcess | undefined;
  let log = '';
  const testSshd: TestSshd = {
    host: '127.0.0.1',
    port,
    user: userInfo().username,
    identityFile,
    knownHostsFile: join(folder, 'known_hosts'),
    get fingerprint() {
      return execFileSync('ssh-keygen', ['-lf', `${hostKey}.pub`], { encoding: 'utf8' }).split(' ')[1] ?? '';
    },
    log: () => log,
    changeHostKey: () => makeKey(hostKey),

    async start() {
      const [type, key] = readFileSync(`${hostKey}.pub`, 'utf8').split(' ');
      writeFileSync(join(folder, 'known_hosts'), `[127.0.0.1]:${port} ${type} ${key}\n`);
      const command = [sshd, '-D', '-e', '-f', config];
      const inNamespace = ['unshare', '--mount', '--propagation', 'private', 'sh', '-ec', `${options.mounts}\nexec "$@"`, 'sh', ...command];
      const [program = '', ...args] = options.mounts === undefined ? command : inNamespace;
      const started = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
      child = started;
      await new Promise<void>((resolve, reject) => {
        createInterface(started.stderr).on('line', (line) => {
          log += `${line}\n`;
          if (line.includes('Server listening')) resolve();
        });
        started.once('exit', () => reject(new Error(`sshd did not start:\n${log}`)));
      });
    },

    async stop() {
      const running = child;
      child = undefined;
      if (!running || running.exitCode !== null) return;
      await new Promise((resolve) => running.once('exit', resolve).kill('SIGTERM'));
    },

    async remove() {
      await testSshd.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  await testSshd.start();
  return testSshd;
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** Whether something answers there. */
export function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
