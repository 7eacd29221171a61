import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { CodedError } from '@helixcode/protocol/errors';
import { findProgram } from '../home/program-path.ts';
import type { JobFolder } from '../jobs/job-folder.ts';
import { shellWord } from '../jobs/shim.ts';
import { PrivateGit } from './private-git.ts';
import { isInside, isReplaceable, systemArgs, toolArgs } from './visible-system.ts';

/** What a command sees of networks: none at all (not even the machine's own services), or those of the machine. */
export type SandboxNetwork = 'off' | 'on';

export interface SandboxOrder {
  /** A program for `/bin/sh`. */
  command: string;
  /** The workspace: an absolute path without links. */
  root: string;
  /** Where the command starts, in the workspace: absolute. */
  startFolder: string;
  /** Of the job that the workspace belongs to. Its commands share one home, one `/tmp` and one set of git data. */
  folder: JobFolder;
  network: SandboxNetwork;
  /** What the command will find in its environment: `PATH` and `HOME` say what is shown. */
  environment: Record<string, string>;
  /** The worker's home: hidden also where it lies among the system's folders. */
  workerHome: string;
  /** Absolute paths beside the workspace that the command may read: its own output, for example. */
  readable?: readonly string[];
}

/** Of root's commands: programs that refuse to run as root, and those that would give files away, behave as for anybody. */
const NOBODY = '65534';
const SIGNALS = 'HUP INT TERM';

/** What the sandbox is made of, beside what it shows. */
function boundaryArgs(network: SandboxNetwork): string[] {
  return [
    '--die-with-parent',
    '--unshare-user',
    '--unshare-pid',
    '--unshare-ipc',
    '--unshare-uts',
    '--unshare-cgroup-try',
    ...(network === 'off' ? ['--unshare-net'] : []),
    ...(process.getuid?.() === 0 ? ['--uid', NOBODY, '--gid', NOBODY] : []),
    ...['--cap-drop', 'ALL'],
    ...['--proc', '/proc', '--dev', '/dev'],
  ];
}

/** @returns arguments with which bwrap does all that a sandbox needs, and then nothing */
export function probeArgs(): string[] {
  return [...boundaryArgs('off'), ...systemArgs(), '--tmpfs', '/tmp', '--remount-ro', '/', '--', '/bin/sh', '-c', ':'];
}

/**
 * Wraps a command so that it sees the system read-only, the workspace, a home and a `/tmp` of its own, and nothing else
 * of the machine: no other workspace, no key, no file of the daemon, no process.
 *
 * The result is a program for `/bin/sh` that becomes the sandbox: its exit status is the command's (128 + number after a
 * signal). A TERM, INT or HUP to every process of the job reaches the command and leaves it time to end; a KILL to any
 * process above it ends all that is in the sandbox.
 *
 * @throws CodedError `sandbox.unavailable` where bubblewrap is missing or the kernel refuses what it needs
 */
export function sandboxCommand(order: SandboxOrder): string {
  const { command, root, folder, environment } = order;
  const path = environment['PATH'] ?? '';
  const program = workingBwrap(path);
  const privateHome = join(folder.sandboxFolder, 'home');
  mkdirSync(privateHome, { recursive: true, mode: 0o700 });
  mkdirSync(folder.tmpFolder, { recursive: true, mode: 0o700 });
  const home = homeFor(environment['HOME'], root);
  const git = PrivateGit.of(folder.sandboxFolder, root);
  const isHidden = (place: string): boolean =>
    isInside(place, [order.workerHome]) || [home, order.workerHome, '/tmp', root].some((hidden) => isInside(hidden, [place]));
  const args = [
    ...boundaryArgs(order.network),
    ...systemArgs(),
    ...(isInside(order.workerHome, ['/usr', '/etc', '/opt', '/nix', '/gnu']) ? ['--tmpfs', order.workerHome] : []),
    ...['--bind', folder.tmpFolder, '/tmp', '--symlink', '/tmp', '/var/tmp', '--setenv', 'TMPDIR', '/tmp'],
    ...['--bind', privateHome, home, '--setenv', 'HOME', home],
    ...(process.getuid?.() === 0 ? ['--setenv', 'USER', 'nobody', '--setenv', 'LOGNAME', 'nobody'] : []),
    ...toolArgs(home, path, isHidden, order.network === 'off'),
    // Go makes what it downloads read-only, folders included: nobody but root could delete the home again.
    ...(environment['GOFLAGS'] === undefined ? ['--setenv', 'GOFLAGS', '-modcacherw'] : []),
    ...['--bind', root, root],
    ...(git?.args(root) ?? []),
    ...['--bind-try', folder.leftFolder, folder.leftFolder],
    ...(order.readable ?? []).flatMap((place) => ['--ro-bind', place, place]),
    ...['--remount-ro', '/', '--chdir', order.startFolder, '--'],
  ];
  // What stands between a job and its command would be ended first by a TERM, and the command with it, at once. An
  // ignored signal stays ignored from program to program, until `env` makes it count again.
  const shield = canRestoreSignals(path)
    ? { before: `trap '' ${SIGNALS}; `, inside: ['env', `--default-signal=${SIGNALS.replaceAll(' ', ',')}`] }
    : undefined;
  const words = [program, ...args, ...(shield?.inside ?? []), '/bin/sh', '-c', command];
  return `${shield?.before ?? ''}exec ${words.map(shellWord).join(' ')}`;
}

/** Where the private home is mounted: at the place of the real one, since installed programs know their place. */
function homeFor(home: string | undefined, root: string): string {
  return home?.startsWith('/') && isReplaceable(home) && !isInside(home, [root]) ? home : '/home/helix';
}

let working: string | undefined;

function workingBwrap(path: string): string {
  if (working !== undefined) return working;
  const next = 'install bubblewrap on the worker and allow its account user namespaces, or set tools.agent.sandbox.demand to "none"';
  const program = findProgram('bwrap', path);
  if (program === undefined) throw new CodedError('sandbox.unavailable', 'commands cannot be shut in: the worker has no bwrap', { next });
  const { status, stderr, error } = spawnSync(program, probeArgs(), { encoding: 'utf8', cwd: '/', env: { PATH: path }, timeout: 10_000 });
  if (status !== 0)
    throw new CodedError(
      'sandbox.unavailable',
      `commands cannot be shut in: ${error?.message ?? (stderr.trim().split('\n')[0] || `bwrap ended with ${status}`)}`,
      { next },
    );
  working = program;
  return program;
}

let restoresSignals: boolean | undefined;

/** `env` of coreutils since 8.31; that of busybox cannot. */
function canRestoreSignals(path: string): boolean {
  restoresSignals ??= spawnSync('env', ['--default-signal=TERM', 'true'], { env: { PATH: path }, cwd: '/', timeout: 10_000 }).status === 0;
  return restoresSignals;
}
