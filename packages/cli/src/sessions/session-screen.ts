import type { SessionView } from '@helixcode/protocol/api/session-views';
import type { HelixContext } from '../helix-context.ts';
import { countOf, formatMs, formatUsd } from '../output/amounts.ts';
import { openLiveRegion } from '../output/live-region.ts';
import type { Style } from '../output/style.ts';
import { fitText, oneLine } from '../output/text-width.ts';

/** Where a session is shown while it is followed. */
export interface SessionScreen {
  /** Lines that stay. */
  show(lines: readonly string[]): void;
  update(session: SessionView, doing: string): void;
  /** What a part of it waits for; `undefined` when that part goes on. */
  waits(part: string, reason: string | undefined): void;
  /** How far what it does has come. */
  progress(progress: { phase: string; done: number; total: number }): void;
  close(): void;
}

const SILENCE_MS = 2_000;

export interface Status {
  session: SessionView | undefined;
  doing: string;
  sinceMs: number;
  /** Why it does not go on, where it does not. */
  waitingFor: string | undefined;
  progress: { phase: string; done: number; total: number } | undefined;
}

/** What goes on, on the last line of a terminal; elsewhere it is told after two silent seconds, once. */
export function openSessionScreen(context: HelixContext): SessionScreen {
  const { out } = context;
  const status: Status = { session: undefined, doing: 'beginning', sinceMs: Date.now(), waitingFor: undefined, progress: undefined };
  const display = out.canDraw ? drawStatus(context, status) : tellStatus(context, status);
  const waitingParts = new Map<string, string>();
  return {
    show(lines) {
      if (lines.length > 0) out.note(lines.join('\n'));
      display.changed();
    },
    update(session, doing) {
      if (doing !== status.doing || session.state !== status.session?.state)
        Object.assign(status, { doing, sinceMs: Date.now(), progress: undefined });
      status.session = session;
      status.waitingFor = session.waitsFor ?? [...waitingParts.values()].at(-1);
      display.changed();
    },
    waits(part, reason) {
      if (reason === undefined) waitingParts.delete(part);
      else waitingParts.set(part, reason);
      status.waitingFor = status.session?.waitsFor ?? [...waitingParts.values()].at(-1);
      display.changed();
    },
    progress(progress) {
      status.progress = progress;
      display.changed();
    },
    close: display.close,
  };
}

/** What a session does or waits for, on one line. */
export function statusLine({ session, doing, waitingFor, progress }: Omit<Status, 'sinceMs'>): string {
  if (waitingFor !== undefined) return `waiting: ${oneLine(waitingFor)}`;
  if (session?.state === 'waiting') return 'waiting for its turn';
  return `${doing}${progress === undefined || progress.total === 0 ? '' : ` ${progress.done}/${progress.total}`}`;
}

function drawStatus({ out }: HelixContext, status: Status): { changed(): void; close(): void } {
  const region = openLiveRegion(process.stderr, (width) => [fitText(drawnLine(status, out.noteStyle), width)]);
  out.region = region;
  region.update();
  return {
    changed: () => region.update(),
    close() {
      out.region = undefined;
      region.close();
    },
  };
}

function drawnLine(status: Status, style: Style): string {
  const { session, sinceMs, waitingFor } = status;
  const parts = [
    `${waitingFor === undefined ? style.cyan(style.glyphs.running) : style.yellow(style.glyphs.paused)} ${statusLine(status)}`,
    formatMs(Date.now() - sinceMs),
    ...(session === undefined ? [] : factsOf(session)),
  ];
  return parts.map((part, index) => (index === 0 ? part : style.dim(part))).join('  ');
}

/** How far it is: turns, money, and where its files are. */
export function factsOf({ turns, costUsd, worker }: Pick<SessionView, 'turns' | 'costUsd' | 'worker'>): string[] {
  return [
    countOf(turns, 'turn'),
    ...(costUsd === undefined ? [] : [formatUsd(costUsd)]),
    ...(worker === undefined ? [] : [oneLine(worker)]),
  ];
}

function tellStatus({ out }: HelixContext, status: Status): { changed(): void; close(): void } {
  let timer: NodeJS.Timeout | undefined;
  let told: string | undefined;
  const changed = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const line = statusLine({ ...status, progress: undefined });
      if (line !== told) out.note(line);
      told = line;
    }, SILENCE_MS);
  };
  changed();
  return { changed, close: () => clearTimeout(timer) };
}
