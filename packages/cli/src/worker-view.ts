import type { WorkerView } from '@helixcode/protocol/api/views';
import type { WorkerState } from '@helixcode/protocol/worker/worker-state';
import type { Style } from './output/style.ts';

const COLOURS: Record<WorkerState, 'green' | 'yellow' | 'red' | 'cyan' | 'dim'> = {
  new: 'dim',
  probing: 'cyan',
  installing: 'cyan',
  connecting: 'cyan',
  up: 'green',
  degraded: 'yellow',
  suspect: 'yellow',
  lost: 'red',
  blocked: 'red',
  removed: 'dim',
};

const SIGNS = { green: 'done', yellow: 'paused', red: 'failed', cyan: 'running', dim: 'waiting' } as const;

/** `✔ up`, in its colour; padding stays outside the sign. */
export function lookOfState(text: string, state: WorkerState, style: Style): string {
  const colour = COLOURS[state];
  return style[colour](`${style.glyphs[SIGNS[colour]]} ${text}`);
}

/** How it stands in one word, with its admission where that is not the usual one. */
export function standingOf(worker: Pick<WorkerView, 'state' | 'admission'>): string {
  return worker.admission === 'open' ? worker.state : `${worker.state}, ${worker.admission}`;
}
