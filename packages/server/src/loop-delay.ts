import { monitorEventLoopDelay } from 'node:perf_hooks';

/** How often the loop is asked to come by; its lateness is what is measured. */
const RESOLUTION_MS = 10;
const WINDOW_MS = 10_000;

/** How late the event loop is: what every request, frame and timer of the server waits for in vain. */
export interface LoopDelay {
  /** The 99th percentile in milliseconds over the last whole window of 10 s and the present one. */
  p99Ms(): number;
  stop(): void;
}

export function watchLoopDelay(): LoopDelay {
  let present = begin();
  let last = begin();
  last.disable();
  const timer = setInterval(() => {
    last = present;
    last.disable();
    present = begin();
  }, WINDOW_MS);
  timer.unref();
  return {
    p99Ms: () => Math.max(...[last, present].map((histogram) => Math.max(0, histogram.percentile(99) / 1e6 - RESOLUTION_MS))),
    stop() {
      clearInterval(timer);
      present.disable();
    },
  };
}

function begin(): ReturnType<typeof monitorEventLoopDelay> {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  return histogram;
}
