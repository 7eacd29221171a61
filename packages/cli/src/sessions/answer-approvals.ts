import type { ApprovalAnswer, ApprovalView } from '@helixcode/protocol/api/session-views';
import { CodedError } from '@helixcode/protocol/errors';
import type { Connection } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';
import { approvalLines } from './approval-lines.ts';
import { askInPlace } from './ask-in-place.ts';

export interface Answerer {
  /**
   * Told of all that waits for a person: agrees where it was told to, and asks the person at the terminal, one question at a time.
   * @returns whether somebody here answers, or has; `false` when the session waits for somebody elsewhere
   */
  consider(open: readonly ApprovalView[], parkedBecause: string | undefined): Promise<boolean>;
  /** Takes back what is being asked. */
  close(): void;
}

export interface AnswererOptions {
  /** Plans and permissions are agreed to without asking. What would spend more never is. */
  agrees: boolean;
  onInterrupt: () => void;
  /** The person gives no answer. */
  onLeftOpen: () => void;
  onError: (error: unknown) => void;
}

export function createAnswerer(context: HelixContext, connection: Connection, options: AnswererOptions): Answerer {
  let asked: { id: string; takeBack: AbortController } | undefined;
  let wasInterrupted = false;

  /** Somebody elsewhere may have been faster. */
  const answer = async (approval: string, body: Partial<ApprovalAnswer>): Promise<void> => {
    try {
      await connection.call('approvals.answer', { params: { approval }, body });
    } catch (error) {
      if (!(error instanceof CodedError) || error.code !== 'approval.answered') throw error;
      context.out.note('it was answered elsewhere');
    }
  };

  const ask = async (approval: ApprovalView, parkedBecause: string | undefined): Promise<void> => {
    const takeBack = new AbortController();
    asked = { id: approval.id, takeBack };
    const given = await askInPlace(context, approval, {
      signal: takeBack.signal,
      parkedBecause,
      onInterrupt: () => {
        wasInterrupted = true;
        options.onInterrupt();
      },
    });
    if (takeBack.signal.aborted || wasInterrupted) return;
    if (given === undefined) return options.onLeftOpen();
    await answer(approval.id, given);
    if (asked?.id === approval.id) asked = undefined;
  };

  return {
    async consider(open, parkedBecause) {
      if (asked && !open.some(({ id }) => id === asked?.id)) {
        asked.takeBack.abort();
        asked = undefined;
      }
      const left: ApprovalView[] = [];
      for (const approval of open) {
        if (!options.agrees || (approval.kind !== 'plan' && approval.kind !== 'permission')) left.push(approval);
        else {
          for (const line of approvalLines(approval, context.out.noteStyle)) context.out.note(line);
          context.out.note('agreed to, as --yes says');
          await answer(approval.id, { accept: true });
        }
      }
      const [next] = left;
      if (next === undefined) return true;
      if (!context.canAsk) return false;
      if (asked === undefined && !wasInterrupted) ask(next, parkedBecause).catch(options.onError);
      return true;
    },
    close() {
      asked?.takeBack.abort();
    },
  };
}
