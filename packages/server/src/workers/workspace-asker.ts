import { CodedError } from '@helixcode/protocol/errors';
import type { AttemptId, ServerId, WorkerId } from '@helixcode/protocol/ids';
import type { WorkspaceOp, WorkspaceReply } from '@helixcode/protocol/worker/workspace';
import type { WorkerLink } from './worker-link.ts';
import type { WorkDone } from './worker-pool.ts';

/** How much longer than its turn another server may take to say that there is no answer yet. */
const ROUTED_GRACE_MS = 5_000;
/** While there is no link, it is looked this often whether the attempt is still wanted, whatever the news. */
const LOOK_MS = 2_000;
const ROUTED_NAME = 'worker.work';

interface RoutedWork {
  worker: WorkerId;
  attempt: AttemptId;
  /** JSON within JSON: the database takes no zero byte, not even written as one. */
  text: string;
}

export interface WorkspaceAskerParts {
  /** The link, where this server has it. */
  linkOf(worker: WorkerId): WorkerLink | undefined;
  holderOf(worker: WorkerId): ServerId | undefined;
  isHeld(worker: WorkerId): boolean;
  /** Whether the books still want the attempt of the worker. */
  isWanted(worker: WorkerId, attempt: AttemptId): Promise<boolean>;
  /** Something about the workers has changed. */
  onChange(listener: () => void): void;
  refresh(): Promise<unknown>;
  /** How long a server that is asked by another waits for an answer of the worker before it says that there is none yet. */
  routedTurnMs: number;
  others:
    | {
        ask(server: ServerId, name: string, args: object, withinMs: number): Promise<unknown>;
        serve(name: string, answer: (args: never) => Promise<unknown>): void;
      }
    | undefined;
}

/** Brings requests for work in checkouts to their workers, until each is answered. */
export interface WorkspaceAsker {
  ask(worker: WorkerId, attempt: AttemptId, op: WorkspaceOp, signal?: AbortSignal): Promise<WorkDone>;
  /** Whoever waits is told that this server ends. */
  stop(): void;
}

export function createWorkspaceAsker(parts: WorkspaceAskerParts): WorkspaceAsker {
  const stopping = new AbortController();
  const waiting = new Set<() => void>();
  parts.onChange(() => {
    for (const wake of [...waiting]) wake();
  });

  /** Resolves at the next change of a worker, or after a while. */
  function change(): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        waiting.delete(wake);
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(wake, LOOK_MS);
      waiting.add(wake);
    });
  }

  /** What another server has asked, and was told that there is no answer yet: it will ask again. */
  const underWay = new Map<string, Promise<string | undefined>>();

  parts.others?.serve(ROUTED_NAME, async ({ worker, attempt, text }: RoutedWork): Promise<{ text?: string }> => {
    if (!parts.isHeld(worker)) await parts.refresh();
    const link = parts.linkOf(worker);
    if (!link) throw new CodedError('worker.link_lost', `there is no link to worker ${worker} here`, { next: 'helix workers list' });
    const key = `${attempt} ${text}`;
    let work = underWay.get(key);
    if (!work) {
      work = link.work(attempt, text).finally(() => underWay.delete(key));
      underWay.set(key, work);
    }
    const { promise: turn, resolve } = Promise.withResolvers<undefined>();
    const timer = setTimeout(() => resolve(undefined), parts.routedTurnMs);
    const answer = await Promise.race([work, turn]).finally(() => clearTimeout(timer));
    return answer === undefined ? {} : { text: answer };
  });

  /** @returns `undefined` when the question has to be put again */
  async function askOther(holder: ServerId, work: RoutedWork): Promise<string | undefined> {
    const { promise: moved, resolve } = Promise.withResolvers<undefined>();
    // A server that is gone does not answer: who took its worker does.
    const look = (): void => {
      if (parts.isHeld(work.worker) || parts.holderOf(work.worker) !== holder) resolve(undefined);
    };
    waiting.add(look);
    try {
      return await Promise.race([askHolder(holder, work), moved]);
    } finally {
      waiting.delete(look);
    }
  }

  async function askHolder(holder: ServerId, work: RoutedWork): Promise<string | undefined> {
    try {
      const said = await parts.others?.ask(holder, ROUTED_NAME, work, parts.routedTurnMs + ROUTED_GRACE_MS);
      return (said as { text?: string } | undefined)?.text;
    } catch (error) {
      if (!(error instanceof CodedError) || (error.code !== 'worker.link_lost' && error.code !== 'server.unreachable')) throw error;
      await parts.refresh();
      if (!parts.linkOf(work.worker)) await untilChange(work);
      return undefined;
    }
  }

  async function untilChange({ worker, attempt }: RoutedWork): Promise<void> {
    const changed = change();
    if (!(await parts.isWanted(worker, attempt)))
      throw new CodedError('workspace.gone', `attempt ${attempt} is over, or not on worker ${worker} any more`);
    await changed;
  }

  async function answerOf(work: RoutedWork, isOver: () => boolean): Promise<WorkDone> {
    for (let times = 1; ; times++) {
      let text: string | undefined;
      const link = parts.linkOf(work.worker);
      const holder = link ? undefined : parts.holderOf(work.worker);
      if (link) text = await link.work(work.attempt, work.text);
      else if (holder) text = await askOther(holder, work);
      else await untilChange(work);
      if (text === undefined) {
        // Nobody waits for it any more.
        if (isOver()) throw new CodedError('workspace.gone', `nobody waits for work of attempt ${work.attempt} any more`);
        continue;
      }
      return { reply: JSON.parse(text) as WorkspaceReply, isRepeated: times > 1 };
    }
  }

  return {
    async ask(worker, attempt, op, signal) {
      const ended = signal ? AbortSignal.any([signal, stopping.signal]) : stopping.signal;
      ended.throwIfAborted();
      const { promise: end, reject } = Promise.withResolvers<never>();
      const onEnd = (): void => reject(ended.reason);
      ended.addEventListener('abort', onEnd, { once: true });
      try {
        return await Promise.race([answerOf({ worker, attempt, text: JSON.stringify(op) }, () => ended.aborted), end]);
      } finally {
        ended.removeEventListener('abort', onEnd);
      }
    },
    stop: () =>
      stopping.abort(new CodedError('server.draining', 'this server ends', { next: 'ask another server, or this one once it runs again' })),
  };
}
