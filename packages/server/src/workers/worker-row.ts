import type { ErrorFact } from '@helixcode/protocol/errors';
import type { ServerId, WorkerId } from '@helixcode/protocol/ids';
import type { MachineFacts } from '@helixcode/protocol/worker/capabilities';
import type { WorkerAdmission, WorkerState } from '@helixcode/protocol/worker/worker-state';

/** How a machine is reached, as it was configured; what is absent is left to ssh and its own configuration. */
export interface WorkerAddress {
  host?: string;
  port?: number;
  user?: string;
  identityFile?: string;
  /** Environment variable of the server that holds the password. */
  passwordEnv?: string;
  knownHostsFile?: string;
  /** Folder on the worker; of a local worker: its home. */
  folder?: string;
  /** Fingerprint of a host key that a person checked before the machine was first dialled. */
  acceptFingerprint?: string;
}

export interface WorkerRow {
  id: WorkerId;
  name: string;
  transport: 'ssh' | 'local' | 'dial-in';
  address: WorkerAddress;
  state: WorkerState;
  admission: WorkerAdmission;
  /** Why it is not up. */
  reason: ErrorFact | null;
  /** Jobs at once; its number of cores when null. */
  slots: number | null;
  /** What its operator vouches for, beside what was detected. */
  labels: string[];
  facts: MachineFacts | null;
  agent: string | null;
  /** The server that holds its link, or did when it was last there. */
  server_id: ServerId | null;
  /** Of a local worker: the server that made it, the machine it lives on, and its folder there. */
  home_server: ServerId | null;
  host: string | null;
  home: string | null;
  created_at: Date;
}

export interface HostKeyRow {
  worker_id: WorkerId;
  key_type: string;
  /** Base64, as in a known_hosts file. */
  public_key: string;
  /** `SHA256:…` */
  fingerprint: string;
  seen_at: Date;
  accepted_at: Date | null;
  revoked_at: Date | null;
}
