import { askYesNo } from '../ask.ts';
import type { HelixContext } from '../helix-context.ts';

/** For so long a second Ctrl-C cancels what is followed, before the command leaves it alone. */
const SECOND_INTERRUPT_MS = 2_000;

export interface Interrupts {
  /** As if Ctrl-C was pressed: a question at the terminal takes the key for itself. */
  interrupt(): void;
  close(): void;
}

/**
 * Ctrl-C while something is followed: the first leaves it alone, and says how to come back; a second one soon after cancels
 * it, after asking where somebody can be asked.
 *
 * @param stop aborted when nothing is to be followed any more, with the error as its reason where cancelling failed
 */
export function listenToInterrupts(
  context: HelixContext,
  stop: AbortController,
  followed: { what: string; back: string; cancel: () => Promise<unknown> },
): Interrupts {
  const { what, back } = followed;
  let count = 0;
  let timer: NodeJS.Timeout | undefined;
  const over = new AbortController();
  const cancel = async (): Promise<void> => {
    const isWanted = !context.canAsk || (await askYesNo(context, `Cancel ${what}?`, over.signal));
    if (over.signal.aborted) return;
    if (!isWanted) return stop.abort();
    context.out.note(`cancelling ${what}`);
    await followed.cancel();
  };
  const interrupt = (): void => {
    count++;
    if (count === 1) {
      context.out.note(`\ndetaching: ${what} goes on; Ctrl-C once more cancels it\nnext: ${back}`);
      timer = setTimeout(() => stop.abort(), SECOND_INTERRUPT_MS);
    } else if (count === 2) {
      clearTimeout(timer);
      cancel().catch((error: unknown) => stop.abort(error));
    } else stop.abort();
  };
  process.on('SIGINT', interrupt);
  return {
    interrupt,
    close() {
      over.abort();
      clearTimeout(timer);
      process.off('SIGINT', interrupt);
    },
  };
}
