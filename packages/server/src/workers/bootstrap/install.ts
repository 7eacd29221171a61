import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { CodedError } from '@helixcode/protocol/errors';
import { readToMark } from '../transports/preamble-search.ts';
import type { ProcessStream } from '../transports/process-stream.ts';
import { lastLine } from '../transports/ssh-errors.ts';
import type { SshSession } from '../transports/ssh-session.ts';
import type { Part } from './part.ts';
import {
  DONE,
  EXIT_FOLDER_REFUSED,
  EXIT_SMOKE_FAILED,
  EXIT_TOOL_MISSING,
  EXIT_UNPACK_FAILED,
  type Installation,
  launcherProgram,
  PROBE_BEGIN,
  PROBE_END,
  pushProgram,
} from './remote-scripts.ts';

/** What a machine said of itself when it was looked at. */
export interface Probe {
  os: string;
  arch: string;
  /** The worker's folder; empty where none could be made. */
  home: string;
  hasRuntime: boolean;
  hasAgent: boolean;
  /** Nothing is missing: the same connection now becomes `attach`. */
  isReady: boolean;
  freeBytes: number | undefined;
}

const OS_NAMES: Record<string, string> = { Linux: 'linux', Darwin: 'darwin', FreeBSD: 'freebsd' };
const ARCH_NAMES: Record<string, string> = { x86_64: 'x64', amd64: 'x64', aarch64: 'arm64', arm64: 'arm64', armv7l: 'arm', i686: 'ia32' };

/** @throws CodedError why the machine did not answer as a shell does */
export async function readProbe(stream: ProcessStream, workerName: string, target: string): Promise<Probe> {
  const greetings = await readToMark(stream, PROBE_BEGIN);
  const facts = greetings === undefined ? undefined : await readToMark(stream, PROBE_END);
  if (facts === undefined) throw await noAnswer(stream, workerName, target);
  const values = new Map(facts.split('\n').map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)] as const));
  const value = (name: string): string => values.get(name) ?? '';
  return {
    os: OS_NAMES[value('os')] ?? value('os'),
    arch: ARCH_NAMES[value('arch')] ?? value('arch'),
    home: value('home'),
    hasRuntime: value('runtime') === '1',
    hasAgent: value('agent') === '1',
    isReady: value('ready') === '1',
    freeBytes: value('freeKb') === '' ? undefined : Number(value('freeKb')) * 1024,
  };
}

/** The shell ended, or there was none. */
async function noAnswer(stream: ProcessStream, workerName: string, target: string): Promise<CodedError> {
  const { stderr, stdout, exitCode } = await stream.ended();
  if (stream.errored instanceof CodedError) return stream.errored;
  const said = stderr.trim() || stdout.trim();
  return new CodedError(
    'worker.no_shell',
    `the account at ${target} does not run commands${said ? `: ${lastLine(said)}` : ` (status ${exitCode})`}`,
    {
      next: `give the account a shell on the machine, then \`helix workers reconnect ${workerName}\``,
      details: { exitCode, ssh: said.slice(-2_000) },
    },
  );
}

/** @throws CodedError `worker.platform_unsupported`, `worker.bootstrap_failed` or `worker.disk_full` where it cannot become a worker */
export async function checkMachine(
  probe: Probe,
  stream: ProcessStream,
  workerName: string,
  target: string,
  unpackedBytes: number,
): Promise<void> {
  const here = `${process.platform}-${process.arch}`;
  const there = `${probe.os}-${probe.arch}`;
  if (here !== there || process.platform !== 'linux')
    throw new CodedError(
      'worker.platform_unsupported',
      `${target} is ${there}, and this server (${here}) brings workers its own Node, which runs on Linux of its own kind only`,
      {
        next: `run a server on a ${there.startsWith('linux') ? there : 'Linux'} machine`,
        details: { server: here, worker: there },
      },
    );
  if (probe.home === '') {
    const { stderr } = await stream.ended();
    throw new CodedError(
      'worker.bootstrap_failed',
      `no folder for the worker could be made on ${target}: ${lastLine(stderr) || 'none of the usual places can be written to'}`,
      {
        next: `name one: \`helix workers add ${workerName} … --folder /path/on/the/machine\``,
        details: { step: 'probe', ssh: stderr.trim().slice(-2_000) },
      },
    );
  }
  if (probe.freeBytes !== undefined && probe.freeBytes < unpackedBytes)
    throw new CodedError(
      'worker.disk_full',
      `${probe.home} on ${target} has ${megabytes(probe.freeBytes)} free, the worker needs ${megabytes(unpackedBytes)}`,
      {
        next: `free space there, then \`helix workers reconnect ${workerName}\``,
        details: { step: 'probe', path: probe.home, freeBytes: probe.freeBytes },
      },
    );
}

/** Sends what the machine lacks and makes the agent ready to be attached to. */
export async function install(
  session: SshSession,
  workerName: string,
  probe: Probe,
  installation: Installation,
  parts: readonly Part[],
): Promise<void> {
  for (const part of parts) {
    const stream = session.open(pushProgram(probe.home, part.key));
    // The far side may give up before it has read everything; its own words say why.
    await pipeline(createReadStream(part.file, { highWaterMark: 256 * 1024 }), stream, { end: true }).catch(() => {});
    await expectDone(stream, workerName, session.target, `unpack ${part.key}`);
  }
  const stream = session.open(launcherProgram(probe.home, installation));
  await expectDone(stream, workerName, session.target, 'start the agent');
}

const STEP_FACTS: Record<number, string> = {
  [EXIT_TOOL_MISSING]: 'a tool is missing there',
  [EXIT_FOLDER_REFUSED]: 'its folder cannot be written to',
  [EXIT_UNPACK_FAILED]: 'what was sent did not arrive whole',
  [EXIT_SMOKE_FAILED]: 'the agent does not run there',
};

/** @throws CodedError that names the step and quotes the machine */
export async function expectDone(stream: ProcessStream, workerName: string, target: string, step: string): Promise<void> {
  stream.end();
  if ((await readToMark(stream, DONE)) !== undefined) {
    stream.resume();
    await stream.ended();
    return;
  }
  const { exitCode, stderr } = await stream.ended();
  if (stream.errored instanceof CodedError) throw stream.errored;
  const isFull = /no space left on device|disk quota exceeded/i.test(stderr);
  const fact = STEP_FACTS[exitCode ?? -1];
  throw new CodedError(
    isFull ? 'worker.disk_full' : 'worker.bootstrap_failed',
    `${target} could not ${step}: ${[fact, lastLine(stderr)].filter(Boolean).join(': ') || `the shell ended with ${exitCode}`}`,
    {
      next: `mend it there, then \`helix workers reconnect ${workerName}\``,
      details: { step, exitCode, ssh: stderr.trim().slice(-2_000) },
    },
  );
}

function megabytes(bytes: number): string {
  return `${Math.floor(bytes / 1_000_000)} MB`;
}
