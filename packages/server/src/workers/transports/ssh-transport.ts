import type { Duplex } from 'node:stream';
import { CodedError } from '@helixcode/protocol/errors';
import { PREAMBLE } from '@helixcode/protocol/worker/preamble';
import { checkMachine, expectDone, install, type Probe, readProbe } from '../bootstrap/install.ts';
import { type Part, packAgent } from '../bootstrap/part.ts';
import { type Installation, probeProgram, uninstallProgram } from '../bootstrap/remote-scripts.ts';
import { packRuntime } from '../bootstrap/runtime-pack.ts';
import type { HostKeyRow } from '../worker-row.ts';
import { readToMark } from './preamble-search.ts';
import type { ProcessStream } from './process-stream.ts';
import { lastLine } from './ssh-errors.ts';
import { openSshSession, type SshSession, type SshSettings } from './ssh-session.ts';
import type { AgentBundle, DialEars, DialTarget, SeenHostKey, WorkerTransport } from './worker-transport.ts';

export interface SshTransportOptions extends SshSettings {
  bundle: AgentBundle;
  /** Where packed parts are kept. */
  partsFolder: string;
}

/** How much more than its parts a worker needs before it has run anything. */
const HEADROOM_BYTES = 50_000_000;
/** From the start of ssh until the far side's shell, or the daemon, speaks: a machine may be slow, or busy. */
const ANSWER_WITHIN_MS = 45_000;

/** Reaches workers with the system's own `ssh`: one process for each, as long as the link lives. */
export function createSshTransport(options: SshTransportOptions): WorkerTransport {
  let packing: Promise<{ runtime: Part; agent: Part }> | undefined;
  const parts = (): Promise<{ runtime: Part; agent: Part }> => {
    packing ??= Promise.all([packRuntime(options.partsFolder), packAgent(options.partsFolder, options.bundle)]).then(
      ([runtime, agent]) => ({ runtime, agent }),
      (error: unknown) => {
        packing = undefined;
        throw error;
      },
    );
    return packing;
  };
  const installationOn = async (target: DialTarget): Promise<Installation> => {
    const { runtime, agent } = await parts();
    return { folder: target.worker.address.folder, runtimeKey: runtime.key, agentKey: agent.key };
  };

  return {
    // A part that cannot be made is told when it is needed.
    prepare: () => void parts().catch(() => {}),

    async connect(target, ears, signal) {
      const [session, installation] = await Promise.all([openSshSession(target, options, signal), installationOn(target)]);
      try {
        return await withHostKey(session, target, ears, () => connectOnce(session, target, ears, installation));
      } finally {
        await session.remove();
      }
    },

    async uninstall(target, signal) {
      const [session, installation] = await Promise.all([openSshSession(target, options, signal), installationOn(target)]);
      try {
        const stream = session.open(uninstallProgram(installation, target.worker.id));
        await expectDone(stream, target.worker.name, session.target, 'be cleaned up');
      } finally {
        await session.remove();
      }
    },

    addressOf({ address }) {
      return `${address.user === undefined ? '' : `${address.user}@`}${address.host ?? ''}${address.port === undefined ? '' : `:${address.port}`}`;
    },
  };

  async function connectOnce(session: SshSession, target: DialTarget, ears: DialEars, installation: Installation): Promise<Duplex> {
    const program = probeProgram(installation, target.worker.id);
    const first = await probe(session, target, program);
    await ears.onStep('probe');
    if (first.probe.isReady) return attached(first.stream, session, target, ears);

    const { runtime, agent } = await parts();
    const missing = [...(first.probe.hasRuntime ? [] : [runtime]), ...(first.probe.hasAgent ? [] : [agent])];
    const neededBytes = missing.reduce((sum, part) => sum + part.unpackedBytes, missing.length > 0 ? HEADROOM_BYTES : 0);
    await checkMachine(first.probe, first.stream, target.worker.name, session.target, neededBytes);
    await ears.onStep('install');
    await install(session, target.worker.name, first.probe, installation, missing);
    const second = await probe(session, target, program);
    if (second.probe.isReady) return attached(second.stream, session, target, ears);
    throw new CodedError('worker.bootstrap_failed', `${session.target} does not keep what is installed in ${first.probe.home}`, {
      next: `look at that folder on the machine, then \`helix workers reconnect ${target.worker.name}\``,
      details: { step: 'probe again' },
    });
  }

  async function probe(session: SshSession, target: DialTarget, program: string): Promise<{ stream: ProcessStream; probe: Probe }> {
    const stream = session.open(program);
    return { stream, probe: await answering(stream, session, readProbe(stream, target.worker.name, session.target)) };
  }

  async function attached(stream: ProcessStream, session: SshSession, target: DialTarget, ears: DialEars): Promise<Duplex> {
    await ears.onStep('connect');
    if ((await answering(stream, session, readToMark(stream, PREAMBLE))) !== undefined) return stream;
    const { stderr, exitCode } = await stream.ended();
    throw new CodedError(
      'worker.bootstrap_failed',
      `the worker on ${session.target} does not start: ${lastLine(stderr) || `it ended with ${exitCode}`}`,
      {
        next: `look at what it says, then \`helix workers reconnect ${target.worker.name}\``,
        details: { step: 'attach', exitCode, ssh: stderr.trim().slice(-2_000) },
      },
    );
  }
}

/** A login whose start-up files wait for somebody must not be waited for in turn. */
async function answering<T>(stream: ProcessStream, session: SshSession, answer: Promise<T>): Promise<T> {
  const timer = setTimeout(() => {
    stream.destroy(
      new CodedError('worker.unreachable', `${session.target} let us in and then said nothing for ${ANSWER_WITHIN_MS / 1000} s`),
    );
  }, ANSWER_WITHIN_MS);
  try {
    return await answer;
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Does something over ssh, and where a host key stands in the way finds out which. A key that a person named beforehand
 * is pinned on the spot, and it is tried again.
 */
async function withHostKey<T>(session: SshSession, target: DialTarget, ears: DialEars, act: () => Promise<T>): Promise<T> {
  try {
    const result = await act();
    // What ssh trusted by the person's own files is shown beside what was pinned here.
    if (target.hostKeys.length === 0) for (const key of await session.trustedKeys()) await ears.onHostKey(key);
    return result;
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    if (!['worker.host_key_unknown', 'worker.host_key_changed', 'worker.host_key_revoked'].includes(error.code)) throw error;
    const shown = await session.scanHostKey();
    if (!shown) throw error;
    const isExpected = error.code === 'worker.host_key_unknown' && target.worker.address.acceptFingerprint === shown.fingerprint;
    await ears.onHostKey({ ...shown, isTrusted: isExpected });
    if (!isExpected) throw withFingerprint(error, target, shown);
    await session.pin([...target.hostKeys, toAcceptedRow(target, shown)]);
    return act();
  }
}

function toAcceptedRow({ worker }: DialTarget, { type, publicKey, fingerprint }: SeenHostKey): HostKeyRow {
  const now = new Date();
  return { worker_id: worker.id, key_type: type, public_key: publicKey, fingerprint, seen_at: now, accepted_at: now, revoked_at: null };
}

function withFingerprint(error: CodedError, { worker }: DialTarget, { type, fingerprint }: SeenHostKey): CodedError {
  const expected = worker.address.acceptFingerprint;
  const isOther = expected !== undefined && expected !== fingerprint;
  return new CodedError(
    error.code,
    `${error.message}; it shows ${type} ${fingerprint}${isOther ? `, not the ${expected} that was to be expected` : ''}`,
    {
      next:
        error.code === 'worker.host_key_revoked'
          ? error.next
          : `compare it at the machine itself (\`ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub\`), then \`helix workers accept-key ${worker.name} ${fingerprint}\``,
      details: { ...error.details, keyType: type, fingerprint },
      cause: error,
    },
  );
}
