/** Lets a few dial at a time: a server that has lost all its workers at once would else spend itself on handshakes. */
export interface DialGate {
  /** Resolves when there is room; call what it gives to make room again. */
  enter(signal: AbortSignal): Promise<() => void>;
}

/** Those who had to wait start up to this much apart: a sshd in front of many refuses a burst. */
const JITTER_MS = 100;

export function createDialGate(atOnce: number): DialGate {
  const waiting: (() => void)[] = [];
  let inside = 0;

  const leaveOnce = (): (() => void) => {
    let hasLeft = false;
    return () => {
      if (hasLeft) return;
      hasLeft = true;
      inside -= 1;
      waiting.shift()?.();
    };
  };

  return {
    async enter(signal) {
      while (inside >= atOnce) {
        signal.throwIfAborted();
        await new Promise<void>((resolve) => {
          const wake = (): void => {
            signal.removeEventListener('abort', giveUp);
            resolve();
          };
          const giveUp = (): void => {
            waiting.splice(waiting.indexOf(wake), 1);
            resolve();
          };
          waiting.push(wake);
          signal.addEventListener('abort', giveUp, { once: true });
        });
        if (!signal.aborted) await new Promise((resolve) => setTimeout(resolve, Math.random() * JITTER_MS));
      }
      signal.throwIfAborted();
      inside += 1;
      return leaveOnce();
    },
  };
}
