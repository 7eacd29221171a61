import { randomUUID } from 'node:crypto';
import { CodedError } from '@helixcode/protocol/errors';
import { type Event, isAbout } from '@helixcode/protocol/event/events';
import type { Logger } from 'pino';
import type { Db } from '../db/db.ts';
import type { Listener, Notifier } from '../db/listen.ts';
import { readCommittedEvents, readEvents, readEventWriters, readLastNumber, readLogEnds } from './event-sql.ts';

/** Carries wake-ups between servers; the payload names the tail that sent it. */
const CHANNEL = 'helix_events';

export interface EventTailOptions {
  db: Db;
  /** Hears of other servers' commits; without it they are found by the slow look. */
  listener?: Pick<Listener, 'on'>;
  /** Tells other servers of ours. */
  notifier?: Pick<Notifier, 'notify'>;
  log: Pick<Logger, 'warn' | 'info'>;
  /** How many of the newest events are kept in memory. Default 10,000. */
  keptEvents?: number;
  /** Longest time between two looks at the table when nothing woke it. Default 1,000. */
  slowLookMs?: number;
}

export interface Subscription {
  /** As `TOPIC` has it. */
  topic: string;
  /** Last sequence number the subscriber has; 0 for everything that is kept; absent for what happens from now on. */
  after?: number | undefined;
  /** Ends the subscription. */
  signal: AbortSignal;
}

export interface EventTail {
  /** To call after a commit that told something: looks at once, here and on the other servers. */
  wake(): void;
  /**
   * Where reading continues after the event `after`, or from now on: a number up to which nothing will ever be added.
   *
   * @throws CodedError `api.cursor_too_old` when events after it are not kept any more, or when this log never gave it
   */
  position(after: number | undefined): Promise<number>;
  /** @throws CodedError `api.cursor_too_old` @see position */
  list(topic: string, after: number, limit: number): Promise<{ items: Event[]; newest: number }>;
  /**
   * Every event about the topic after the cursor, once and in order, for as long as the signal is not aborted. Nothing
   * is kept for a slow reader: it is served from what all share, and from the table when it is further behind.
   *
   * @throws CodedError `api.cursor_too_old`, also later, when a reader is slower than old events are removed
   */
  subscribe(subscription: Subscription): AsyncIterable<Event>;
  /** Ends all subscriptions and stops looking. */
  close(): Promise<void>;
}

const readAtOnce = 1_000;
const firstGapLookMs = 5;
const slowestGapLookMs = 250;
/** Looks that follow each other are at least so far apart: many small commits in a row are read together. */
const restBetweenLooksMs = 15;

/**
 * Follows the event log in the order of its numbers. A number is taken before its transaction commits, so a higher one
 * may be seen first; passing it on would lose the lower one for everybody whose cursor is already beyond. What stands
 * behind a gap is therefore held back until the gap is filled or nobody is left who could fill it.
 */
export function createEventTail(options: EventTailOptions): EventTail {
  const { db, log } = options;
  const keptEvents = options.keptEvents ?? 10_000;
  const slowLookMs = options.slowLookMs ?? 1_000;
  const name = randomUUID();
  const ended = new AbortController();

  /** Everything up to here is final; `undefined` before the first look. */
  let horizon: number | undefined;
  /** All events with `keptAfter < seq ≤ horizon`, oldest first. */
  let kept: Event[] = [];
  let keptAfter = 0;
  const ready = Promise.withResolvers<void>();
  // Whoever waits for it is told; when nobody does, closing early is no fault.
  ready.promise.catch(() => {});

  /** Gaps below this number are there for ever. */
  let settledBelow = 0;
  /** Who was writing when a gap was seen below `top`. */
  let fence: { top: number; writers: string[] } | undefined;

  let isWoken = false;
  let nap: { isLight: boolean; end: () => void } | undefined;

  const wakeHere = (): void => {
    isWoken = true;
    if (nap?.isLight) nap.end();
  };

  /** @param isLight whether a wake-up ends it */
  const sleep = async (ms: number, isLight: boolean): Promise<void> => {
    if (ended.signal.aborted || (isLight && isWoken)) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    nap = { isLight, end: resolve };
    await promise;
    clearTimeout(timer);
    nap = undefined;
  };

  /** Those who have read up to the horizon. */
  const waiting = new Set<() => void>();
  const moreOr = (signal: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      const done = (): void => {
        waiting.delete(done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      if (signal.aborted) return resolve();
      waiting.add(done);
      signal.addEventListener('abort', done);
    });

  const publish = (events: Event[], upto: number): void => {
    kept.push(...events);
    // Cut now and then, not for every few events: it copies what stays.
    if (kept.length > keptEvents + Math.max(readAtOnce, keptEvents / 4)) {
      keptAfter = kept[kept.length - keptEvents - 1]?.seq ?? keptAfter;
      kept = kept.slice(-keptEvents);
    }
    horizon = upto;
    for (const tell of waiting) tell();
  };

  /** Notes who could still fill a gap below `top`. @returns whether that is over */
  const settleGaps = async (top: number): Promise<boolean> => {
    const writers = await readEventWriters(db);
    if (fence === undefined) fence = { top, writers };
    else fence.writers = fence.writers.filter((writer) => writers.includes(writer));
    if (fence.writers.length > 0) return false;
    settledBelow = fence.top;
    fence = undefined;
    return true;
  };

  /** @returns what to do next: look again at once, wait behind a gap, or wait for news */
  const look = async (): Promise<'again' | 'gap' | 'news'> => {
    if (horizon === undefined) {
      const { newest } = await readLogEnds(db);
      if (!(await settleGaps(newest))) return 'gap';
      keptAfter = settledBelow;
      horizon = settledBelow;
      ready.resolve();
      return 'again';
    }
    const events = await readCommittedEvents(db, horizon, readAtOnce);
    let upto = horizon;
    const final = events.findIndex(({ seq }) => {
      if (seq > upto + 1 && seq > settledBelow) return true;
      upto = seq;
      return false;
    });
    if (upto > horizon) publish(final === -1 ? events : events.slice(0, final), upto);
    if (final === -1) return events.length === readAtOnce ? 'again' : 'news';
    const top = events.at(-1)?.seq ?? upto;
    return (await settleGaps(top)) || upto > (events[0]?.seq ?? upto) ? 'again' : 'gap';
  };

  const follow = async (): Promise<void> => {
    let gapLookMs = firstGapLookMs;
    let isOutOfReach = false;
    let lookedAtMs = Number.NEGATIVE_INFINITY;
    while (!ended.signal.aborted) {
      let next: 'again' | 'gap' | 'news' | 'fault';
      const restMs = lookedAtMs + restBetweenLooksMs - performance.now();
      if (restMs > 0) await sleep(restMs, false);
      lookedAtMs = performance.now();
      isWoken = false;
      const before = horizon;
      try {
        next = await look();
        if (isOutOfReach) log.info('the event log can be read again');
        isOutOfReach = false;
      } catch (error) {
        // Events are only late while the database is away; the subscribers keep their place.
        if (!isOutOfReach) log.warn({ err: error }, 'the event log cannot be read; trying on');
        isOutOfReach = true;
        next = 'fault';
      }
      if (horizon !== before) gapLookMs = firstGapLookMs;
      if (next === 'gap') {
        // A wake-up is no reason to hurry: it is the end of one certain transaction that is waited for.
        await sleep(gapLookMs, false);
        gapLookMs = Math.min(gapLookMs * 2, slowestGapLookMs);
      } else if (next === 'fault') await sleep(slowestGapLookMs, false);
      else if (next === 'news') await sleep(slowLookMs, true);
    }
  };

  const position = async (after: number | undefined): Promise<number> => {
    await ready.promise;
    const upto = horizon ?? 0;
    if (after === undefined) return upto;
    // 0 is nobody's cursor: whoever asks from there has nothing that could have a hole.
    if (after === 0 || (after >= keptAfter && after <= upto)) return after;
    const { oldest, newest } = await readLogEnds(db);
    if (after > upto) {
      // Another server may be ahead of us, but nobody can be ahead of the numbers given out.
      if (after <= (await readLastNumber(db))) return after;
      throw tooOld(`event ${after} is not of this log, whose newest is ${upto}`, oldest, upto);
    }
    if (after + 1 < oldest || newest === 0) throw tooOld(`events after ${after} are not kept any more`, oldest, upto);
    return after;
  };

  /** @returns the next events after `at`, and how far all about the topic are among them */
  const readOn = async (topic: string, at: number, limit: number): Promise<{ events: Event[]; upto: number }> => {
    const upto = horizon ?? 0;
    if (at >= keptAfter) {
      const events: Event[] = [];
      for (let index = firstAfter(kept, at); index < kept.length; index++) {
        const event = kept[index];
        if (!event || !isAbout(topic, event)) continue;
        events.push(event);
        if (events.length === limit) return { events, upto: event.seq };
      }
      return { events, upto };
    }
    const events = await readEvents(db, topic, at, upto, limit);
    // Looked up afterwards: what was removed while we read is missing from the answer.
    if (at > 0) await position(at);
    return { events, upto: events.length === limit ? (events.at(-1)?.seq ?? upto) : upto };
  };

  async function* subscribe({ topic, after, signal }: Subscription): AsyncGenerator<Event> {
    const over = AbortSignal.any([signal, ended.signal]);
    if (over.aborted) return;
    let at = await position(after);
    while (!over.aborted) {
      if (at >= (horizon ?? 0)) {
        await moreOr(over);
        continue;
      }
      const { events, upto } = await readOn(topic, at, readAtOnce);
      for (const event of events) {
        if (over.aborted) return;
        yield event;
      }
      at = upto;
    }
  }

  const following = follow();
  // Until it listens, the slow look serves; a listener that was closed meanwhile has nothing more to tell.
  void options.listener
    ?.on(CHANNEL, (payload) => {
      if (payload !== name) wakeHere();
    })
    .catch(() => {});

  return {
    wake() {
      wakeHere();
      options.notifier?.notify(CHANNEL, name);
    },
    position,
    async list(topic, after, limit) {
      const from = await position(after);
      const newest = horizon ?? 0;
      if (from >= newest) return { items: [], newest };
      return { items: (await readOn(topic, from, limit)).events.filter(({ seq }) => seq <= newest), newest };
    },
    subscribe,
    async close() {
      ended.abort();
      ready.reject(new CodedError('server.unreachable', 'the server is stopping', { next: '`helix up`' }));
      nap?.end();
      await following;
    },
  };
}

function tooOld(message: string, oldest: number, newest: number): CodedError {
  return new CodedError('api.cursor_too_old', message, {
    next: `fetch the present state and continue after ${newest}`,
    details: { oldest, newest },
  });
}

/** Index of the first event with a number above `seq`. */
function firstAfter(events: Event[], seq: number): number {
  let low = 0;
  let high = events.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((events[middle]?.seq ?? 0) <= seq) low = middle + 1;
    else high = middle;
  }
  return low;
}
