import type { WorkerView } from '@helixcode/protocol/api/views';
import type { WorkerSupervisor } from './worker-supervisor.ts';

/** @param address how a person would name the machine */
export function viewWorker({ row, slots, labels, load, link, hostKeys, lastSeenAt }: WorkerSupervisor, address: string): WorkerView {
  return {
    id: row.id,
    name: row.name,
    transport: row.transport,
    address,
    state: row.state,
    admission: row.admission,
    ...(row.reason && { reason: row.reason }),
    slots,
    running: link?.liveJobs() ?? load?.runningJobs ?? 0,
    labels: [...labels].sort(),
    ...(row.facts && { facts: row.facts }),
    ...(load && { load }),
    hostKeys: hostKeys.map((key) => ({ type: key.key_type, fingerprint: key.fingerprint, accepted: key.accepted_at !== null })),
    ...(row.agent && { agent: row.agent }),
    ...(lastSeenAt && { lastSeenAt: lastSeenAt.toISOString() }),
    createdAt: row.created_at.toISOString(),
  };
}
