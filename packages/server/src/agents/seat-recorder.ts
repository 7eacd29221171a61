import { setTimeout as sleep } from 'node:timers/promises';
import { CodedError } from '@helixcode/protocol/errors';
import type { TaskId } from '@helixcode/protocol/ids';
import type { AgentDeps } from './agent-deps.ts';
import { findSeat, type Seat } from './seat.ts';
import type { SessionCheckpoint } from './session-sql.ts';
import type { WrittenFile } from './written.ts';

/** A worker that is out of reach, or begins anew, is asked for the files again. */
const RECORD_AGAIN_MS = 100;
/** Files that cannot be recorded for so long, although they are there, end the work. */
const RECORDED_WITHIN_MS = 300_000;

/** The seat was lost while something was done there: what became of it is to be learned. */
export class SeatLost extends Error {}

/** Records the files of an agent after what it did to them. */
export class SeatRecorder {
  readonly #deps: Pick<AgentDeps, 'checkpoints' | 'db' | 'log'>;
  readonly #agent: TaskId;
  readonly #signal: AbortSignal;
  /** The checkpoint that the files were at when nothing but calls could have changed them since. */
  #last: { attempt: Seat['attempt']; number: number } | undefined;

  constructor(deps: Pick<AgentDeps, 'checkpoints' | 'db' | 'log'>, agent: TaskId, signal: AbortSignal) {
    this.#deps = deps;
    this.#agent = agent;
    this.#signal = signal;
  }

  /** What was recorded last says nothing of the files as they are now. */
  forget(): void {
    this.#last = undefined;
  }

  /** Records files that were just written, and nothing else with them. @throws SeatLost */
  async recordWritten(seat: Seat, files: readonly WrittenFile[]): Promise<SessionCheckpoint> {
    const last = this.#last;
    this.#last = undefined;
    if (last?.attempt !== seat.attempt) return this.record(seat);
    try {
      const taken = await this.#deps.checkpoints.takeWritten(seat.attempt, last.number, files);
      return taken ? this.#note(seat, taken) : this.record(seat);
    } catch (error) {
      if (!(error instanceof CodedError) || error.code !== 'checkpoint.refused') throw error;
      throw new SeatLost('the worker was lost before the files were recorded');
    }
  }

  /** Records the files as they are there, and nowhere else. @throws SeatLost once the files are not there any more */
  async record(seat: Seat): Promise<SessionCheckpoint> {
    const { attempt } = seat;
    const since = this.#last?.attempt === attempt ? this.#last.number : undefined;
    this.#last = undefined;
    for (const untilMs = performance.now() + RECORDED_WITHIN_MS; ; ) {
      try {
        return this.#note(seat, await this.#deps.checkpoints.takeOfAttempt({ attempt, since }));
      } catch (error) {
        if (!(error instanceof CodedError) || error.code === 'database.unavailable') throw error;
        this.#deps.log.info({ err: error, task: this.#agent }, 'the files of an agent could not be recorded');
        this.#signal.throwIfAborted();
        if ((await findSeat(this.#deps.db, this.#agent))?.attempt !== attempt)
          throw new SeatLost('the worker was lost before the files were recorded');
        if (performance.now() > untilMs) throw error;
      }
      await sleep(RECORD_AGAIN_MS, undefined, { ref: false });
    }
  }

  #note({ task, attempt }: Seat, { number, commit }: { number: number; commit: string }): SessionCheckpoint {
    this.#last = { attempt, number };
    return { task, number, commit };
  }
}
