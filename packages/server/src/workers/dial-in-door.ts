import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { IncomingHttpHeaders } from 'node:http';
import { WORKER_AGENT_PATH, WORKER_LINK_PATH } from '@helixcode/protocol/api/route-paths';
import { CodedError } from '@helixcode/protocol/errors';
import {
  AGENT_HEADER,
  AGENT_SHA256_HEADER,
  ENROLMENT_HEADER,
  HEARTBEAT_HEADER,
  isEnrolmentToken,
  isWorkerToken,
  LABEL,
  LABELS_HEADER,
  RUNNING_AGENT_HEADER,
  WORKER_ID_HEADER,
  WORKER_NAME_HEADER,
} from '@helixcode/protocol/worker/dial-in';
import { bearerToken } from '../auth/bearer-token.ts';
import { tokenHash } from '../auth/token.ts';
import type { Db } from '../db/db.ts';
import type { MachineDoor } from '../http/machine-door.ts';
import {
  type EnrolmentRow,
  findEnrolment,
  findWorkerToken,
  insertWorkerToken,
  revokeWorkerTokens,
  useEnrolment,
  type WorkerTokenRow,
} from './enrolment-sql.ts';
import type { AgentBundle } from './transports/worker-transport.ts';
import type { WorkerRegistry } from './worker-registry.ts';

export interface DialInDoorOptions {
  db: Db;
  registry: Pick<WorkerRegistry, 'takeDialIn'>;
  bundle: AgentBundle;
  heartbeatMs: number;
  /** Whether that agent is given out by a server of a newer release that is there too. */
  isNewerAgent(agent: string): boolean;
}

/** Where workers that dial in are let in, and fetch the agent they should run. */
export async function openDialInDoor({ db, registry, bundle, heartbeatMs, isNewerAgent }: DialInDoorOptions): Promise<MachineDoor> {
  // As it was when this server started: another one may replace the file meanwhile.
  const agent = await readFile(bundle.path);
  const sha256 = createHash('sha256').update(agent).digest('hex');

  return {
    socketPath: WORKER_LINK_PATH,
    filePath: WORKER_AGENT_PATH,

    async admit(headers) {
      const worker = await identify(headers);
      const labels = labelsIn(headers);
      const running = headers[RUNNING_AGENT_HEADER];
      return {
        headers: {
          [WORKER_ID_HEADER]: worker.worker_id,
          [WORKER_NAME_HEADER]: worker.name,
          [HEARTBEAT_HEADER]: String(heartbeatMs),
          [AGENT_HEADER]: typeof running === 'string' && isNewerAgent(running) ? running : bundle.hash,
          [AGENT_SHA256_HEADER]: sha256,
        },
        enter: (stream) => void registry.takeDialIn(worker.worker_id, stream, labels).catch((error: Error) => stream.destroy(error)),
        file: () => ({ body: agent, headers: { 'content-type': 'text/javascript' } }),
      };
    },
  };

  async function identify(headers: IncomingHttpHeaders): Promise<WorkerTokenRow> {
    const token = bearerToken(headers);
    if (token === undefined || !isWorkerToken(token))
      throw new CodedError('worker.token_refused', `what was shown is not a worker's token`, { next: 'helix worker join' });
    const hash = tokenHash(token);
    const enrolment = headers[ENROLMENT_HEADER];
    const worker = (await findWorkerToken(db, hash)) ?? (typeof enrolment === 'string' ? await enrol(enrolment, hash) : undefined);
    if (!worker)
      throw new CodedError('worker.token_refused', `this server does not know the worker's token`, { next: 'helix workers enrol <name>' });
    const { name, state, reason } = worker;
    const next = `helix workers enrol ${name}`;
    if (state === 'removed') throw new CodedError('worker.removed', `worker ${name} was removed from the pool`, { next });
    if (worker.is_revoked)
      throw new CodedError('worker.removed', `another machine was enrolled as worker ${name} in place of this one`, { next });
    if (state === 'blocked' && reason)
      throw new CodedError(reason.code, `worker ${name} is blocked: ${reason.message}`, {
        next: reason.next ?? `helix workers reconnect ${name}`,
      });
    return worker;
  }

  /** Exchanges an enrolment token for the worker's own, which is the only one that is good for it from then on. */
  async function enrol(enrolment: string, hash: string): Promise<WorkerTokenRow | undefined> {
    if (!isEnrolmentToken(enrolment))
      throw new CodedError('worker.enrolment_refused', 'what was given is not an enrolment token', { next: 'helix workers enrol <name>' });
    const enrolmentHash = tokenHash(enrolment);
    await db.tx(async (tx) => {
      const worker = await useEnrolment(tx, enrolmentHash);
      if (worker === undefined) throw refusal(await findEnrolment(tx, enrolmentHash));
      await revokeWorkerTokens(tx, worker);
      await insertWorkerToken(tx, hash, worker);
    });
    return findWorkerToken(db, hash);
  }
}

function refusal(enrolment: EnrolmentRow | undefined): CodedError {
  const refused = (message: string, name: string): CodedError =>
    new CodedError('worker.enrolment_refused', message, { next: `helix workers enrol ${name}` });
  if (!enrolment) return refused('this server did not make the enrolment token', '<name>');
  const { name } = enrolment;
  if (enrolment.is_removed) return refused(`worker ${name}, whom the enrolment token was made for, was removed`, name);
  if (enrolment.used_at)
    return refused(`the enrolment token of worker ${name} was used at ${enrolment.used_at.toISOString()}, and is good for once`, name);
  if (enrolment.revoked_at) return refused(`the enrolment token of worker ${name} was replaced by a later one`, name);
  return refused(`the enrolment token of worker ${name} expired at ${enrolment.expires_at.toISOString()}`, name);
}

/** @returns `undefined` where the machine leaves them to the server */
function labelsIn(headers: IncomingHttpHeaders): string[] | undefined {
  const text = headers[LABELS_HEADER];
  if (typeof text !== 'string') return undefined;
  const labels = text
    .split(',')
    .map((label) => label.trim())
    .filter((label) => label !== '');
  const wrong = labels.find((label) => !LABEL.test(label));
  if (wrong === undefined) return [...new Set(labels)];
  throw new CodedError('config.invalid', `WORKER_CAPABILITIES holds ${JSON.stringify(wrong)}, which is not a label`, {
    next: 'WORKER_CAPABILITIES=gpu,big-disk helix worker join',
  });
}
