import type { Struck } from './storm.ts';
import type { World } from './world.ts';

/** So long after it was mended a fault may still show: a server that begins takes its part of the workers. */
const SETTLES_MS = 3_000;

/** How long something that a fault touched stood still. */
export interface Recovery {
  kind: string;
  ms: number;
  /** No other fault of the same worker, of a server or of the database fell into that time. */
  isUndisturbed: boolean;
}

/** What a worker is noticed by. */
interface Sign {
  at: Date;
  worker_id: string | null;
  type: string;
  to: string | null;
  /** A server that begins says of each worker that its link has ended with the server before. */
  is_restart: boolean;
}

/**
 * For each fault the time from the moment at which it happened (of what lasts and takes the worker away, such as a cut: at
 * which it ended) to the first progress of each worker that it held up; where it held up all alike, to the first progress
 * at all. A worker makes progress when its link is up again or one of its attempts moves.
 *
 * A fault of which nothing was noticed before the next one at the same place is not measured.
 */
export async function measureRecovery({ database, workers, servers }: World, struck: readonly Struck[]): Promise<Recovery[]> {
  const { rows: signs } = await database.db.query<Sign>(
    `select at, worker_id, body->>'type' as type, body->>'to' as "to",
            coalesce(body->'reason'->>'message' = 'the server was started anew', false) as is_restart from events
      where worker_id is not null and body->>'type' in ('attempt.moved', 'worker.moved') order by seq`,
  );
  const serverNames = servers.map(({ name }) => name);
  return struck.flatMap((fault) => {
    const isOfServers = fault.targets.some((target) => serverNames.includes(target));
    // A server that is gone is replaced by another one: nobody waits for its return.
    const fromMs = (isOfServers && fault.touches ? fault.at : fault.healedAt).getTime();
    const isElsewhere = ({ targets }: Struck): boolean => !targets.some((target) => fault.targets.includes(target));
    const nextMs = struck.find((other) => !isElsewhere(other) && other.at.getTime() > fromMs)?.at.getTime() ?? Number.POSITIVE_INFINITY;
    const later = signs.filter(({ at }) => at > fault.at && at.getTime() < nextMs);

    /** @param worker `undefined`: any */
    const measure = (worker: string | undefined): Recovery | undefined => {
      const own = worker === undefined ? later : later.filter((sign) => sign.worker_id === worker);
      // What was under way when its link broke is no progress after it.
      const dropped =
        worker === undefined
          ? -1
          : own.findIndex(({ type, to, is_restart }) => type === 'worker.moved' && to === 'suspect' && (isOfServers || !is_restart));
      if (worker !== undefined && dropped === -1) return undefined;
      const progress = own
        .slice(dropped + 1)
        .find(({ at, type, to }) => at.getTime() >= fromMs && (type === 'attempt.moved' || to === 'up'))
        ?.at.getTime();
      if (progress === undefined) return undefined;
      const places = [
        'database',
        ...serverNames,
        ...workers.filter(({ id }) => worker === undefined || id === worker).map(({ name }) => name),
      ];
      const isDisturbed = struck.some(
        (other) =>
          other !== fault &&
          other.targets.some((target) => places.includes(target)) &&
          other.at.getTime() < progress &&
          other.healedAt.getTime() + SETTLES_MS > fault.at.getTime(),
      );
      return { kind: fault.kind, ms: progress - fromMs, isUndisturbed: !isDisturbed };
    };
    return (fault.touches ?? [undefined]).flatMap((worker) => measure(worker) ?? []);
  });
}
