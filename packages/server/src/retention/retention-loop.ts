import type { GcReport } from '@helixcode/protocol/api/gc-report';
import { CodedError } from '@helixcode/protocol/errors';
import type { Handlers } from '../http/handler.ts';
import { collectGarbage, type GarbageDeps } from './collect-garbage.ts';

/** The first sweep comes soon, so that a server that is often started again sweeps too. */
const FIRST_SWEEP_MS = 300_000;

export interface RetentionLoop {
  handlers: Pick<Handlers, 'server.gc'>;
  /** No further sweep; resolves when the one under way has ended. */
  stop(): Promise<void>;
}

/** Sweeps by the clock, and when asked to. */
export function startRetention(deps: GarbageDeps): RetentionLoop {
  const { log, retention } = deps;
  const over = new AbortController();
  const underWay = new Set<Promise<unknown>>();

  const sweep = (dryRun: boolean): Promise<GcReport> => {
    const report = collectGarbage(deps, { dryRun, signal: over.signal });
    const end = report.catch(() => {}).finally(() => underWay.delete(end));
    underWay.add(end);
    return report;
  };

  const sweepByClock = async (): Promise<void> => {
    try {
      const removed = (await sweep(false)).items.filter(({ count }) => count > 0);
      if (removed.length > 0) log.info({ removed }, 'removed what is not kept any longer');
    } catch (error) {
      if (over.signal.aborted || (error instanceof CodedError && error.code === 'gc.busy')) return;
      log.warn({ err: error }, 'a sweep failed and will be tried again');
    }
  };

  let timer: NodeJS.Timeout;
  const sweepIn = (ms: number): void => {
    timer = setTimeout(() => void sweepByClock().finally(() => !over.signal.aborted && sweepIn(retention.sweepMs)), ms).unref();
  };
  sweepIn(Math.min(FIRST_SWEEP_MS, retention.sweepMs));

  return {
    handlers: { 'server.gc': ({ body }) => sweep(body.dryRun) },
    async stop() {
      clearTimeout(timer);
      over.abort(new CodedError('server.unreachable', 'the server is stopping', { next: '`helix up`' }));
      await Promise.all(underWay);
    },
  };
}
