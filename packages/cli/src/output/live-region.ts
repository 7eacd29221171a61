import type { WriteStream } from 'node:tty';
import { fitText, textWidth } from './text-width.ts';

/** The last lines of a terminal, redrawn in place. What stands above them is never touched. */
export interface LiveRegion {
  /** Draws soon, at most ten times a second. */
  update(): void;
  /** Writes lines above the region, where they stay, however long they are. */
  print(lines: readonly string[]): void;
  /** Takes the region away for a while, e.g. to ask something. */
  hide(): void;
  show(): void;
  /** Takes the region away for good and shows the cursor again. */
  close(): void;
}

const SHORTEST_PAUSE_MS = 100;

/**
 * @param render lines for a window of that size; what is too many or too wide is cut, for a region taller than the window
 *   could not be redrawn
 */
export function openLiveRegion(stream: WriteStream, render: (width: number, height: number) => string[]): LiveRegion {
  let drawn: string[] = [];
  let timer: NodeJS.Timeout | undefined;
  let lastDrawMs = 0;
  let isHidden = false;
  let isClosed = false;

  const columns = (): number => Math.max(1, stream.columns || 80);

  /** Back to the first line of what stands there. After a resize its lines may be broken into several. */
  const goUp = (): string => {
    const rows = drawn.reduce((sum, line) => sum + Math.max(1, Math.ceil(textWidth(line) / columns())), 0);
    return rows === 0 ? '\r' : `\r\u001b[${rows}A`;
  };

  const draw = (above: readonly string[] = []): void => {
    clearTimeout(timer);
    timer = undefined;
    lastDrawMs = performance.now();
    // One cell is left free: a line that fills the last one wraps on some terminals.
    const width = Math.max(1, columns() - 1);
    const height = Math.max(1, (stream.rows || 24) - 1);
    const lines =
      isHidden || isClosed
        ? []
        : render(width, height)
            .slice(0, height)
            .map((line) => fitText(line, width));
    const body = [...above, ...lines].map((line) => `${line}\u001b[K\n`).join('');
    // One write, between marks that hold the screen still where the terminal knows them.
    stream.write(`\u001b[?2026h${goUp()}${body}\u001b[J\u001b[?2026l`);
    drawn = lines;
  };

  const update = (): void => {
    if (isClosed || isHidden || timer) return;
    const waitMs = lastDrawMs + SHORTEST_PAUSE_MS - performance.now();
    if (waitMs <= 0) draw();
    else timer = setTimeout(draw, waitMs);
  };

  const showCursor = (): void => void stream.write('\u001b[?25h');
  const onResize = (): void => update();
  // Time passes on the screen; between its seconds nothing is drawn that did not change.
  const clock = setInterval(update, 1_000);
  stream.write('\u001b[?25l');
  process.once('exit', showCursor);
  stream.on('resize', onResize);

  return {
    update,
    print: draw,
    hide() {
      isHidden = true;
      draw();
      showCursor();
    },
    show() {
      isHidden = false;
      stream.write('\u001b[?25l');
      update();
    },
    close() {
      if (isClosed) return;
      isClosed = true;
      clearInterval(clock);
      draw();
      stream.off('resize', onResize);
      process.off('exit', showCursor);
      showCursor();
    },
  };
}
