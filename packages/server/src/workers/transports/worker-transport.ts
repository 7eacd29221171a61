import type { Duplex } from 'node:stream';
import type { HostKeyRow, WorkerRow } from '../worker-row.ts';

/** The bundle that workers run. */
export interface AgentBundle {
  path: string;
  /** Hash of its content, as a worker names it in its welcome. */
  hash: string;
}

/** What dialling one worker needs to know at this moment. */
export interface DialTarget {
  worker: WorkerRow;
  password: string | undefined;
  hostKeys: readonly HostKeyRow[];
}

/** What is learnt on the way; each is awaited before the next step. */
export interface DialEars {
  /** The machine is looked at, gets missing parts, or its daemon is being connected to. */
  onStep(step: 'probe' | 'install' | 'connect'): Promise<void>;
  /** The machine showed this host key, or ssh trusts it already (`isTrusted`). */
  onHostKey(key: SeenHostKey): Promise<void>;
}

export interface SeenHostKey {
  type: string;
  /** Base64, as in a known_hosts file. */
  publicKey: string;
  fingerprint: string;
  isTrusted: boolean;
}

/** One way to reach a worker's daemon. */
export interface WorkerTransport {
  /** Whether the worker makes the connection: `connect` then waits for it, and takes nobody's turn at dialling. */
  readonly isAwaited?: boolean;
  /**
   * @returns the byte stream of the daemon, with nothing of it read; when it breaks with a known cause, its `error` is a
   *   `CodedError`
   * @throws CodedError what kept it from being reached, and what to do about it
   */
  connect(target: DialTarget, ears: DialEars, signal: AbortSignal): Promise<Duplex>;
  /** Deletes what was installed. The link must be closed; where the worker makes it, it must be open, for nobody else can tell it. */
  uninstall(target: DialTarget, signal: AbortSignal): Promise<void>;
  /** Of a worker that another server made on its own machine: whether this server can reach it as well. Absent: always. */
  mayTakeOver?(worker: WorkerRow): Promise<boolean>;
  /** Makes what takes long beforehand: a worker of this kind may have to be taken over at any time. Absent: nothing does. */
  prepare?(): void;
  /** How a person would name the machine. */
  addressOf(worker: WorkerRow): string;
}
