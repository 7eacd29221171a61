import type { SessionState } from '@helixcode/protocol/session/session';
import type { Style } from '../output/style.ts';

/** `✔ done`, in the colour of the state. */
export function renderSessionState(state: SessionState, style: Style): string {
  const { glyphs } = style;
  switch (state) {
    case 'done':
      return style.green(`${glyphs.done} done`);
    case 'failed':
      return style.red(`${glyphs.failed} failed`);
    case 'running':
      return style.cyan(`${glyphs.running} running`);
    case 'parked':
    case 'paused':
      return style.yellow(`${glyphs.paused} ${state}`);
    case 'cancelled':
      return style.dim(`${glyphs.cancelled} cancelled`);
    case 'waiting':
      return style.dim(`${glyphs.waiting} waiting`);
  }
}
