import type { SessionView } from '@helixcode/protocol/api/session-views';
import { CodedError, ERROR_CODES, isErrorCode } from '@helixcode/protocol/errors';
import { EXIT_CODES } from '@helixcode/protocol/exit-codes';
import type { Connection } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';
import { formatTokens } from '../output/amounts.ts';
import { oneLine } from '../output/text-width.ts';
import { type ChangesBranch, takeChanges } from '../repository/changes-branch.ts';
import { findRepository } from '../repository/snapshot.ts';
import { answeringCommand, approvalLines } from './approval-lines.ts';
import type { Followed } from './follow-session.ts';
import { planLines } from './plan-lines.ts';
import { factsOf } from './session-screen.ts';

/**
 * Tells how following ended, and leaves the exit status: the last words on stdout, everything else on stderr. What the agent
 * changed becomes a branch of the repository that the command is in.
 */
export async function reportEnd(context: HelixContext, connection: Connection, followed: Followed): Promise<void> {
  const { out } = context;
  const { session, approvals } = followed;
  context.exitStatus = exitStatusOf(session);
  if (out.format === 'text') tellEnd(context, followed);
  const branch =
    session.state === 'done' && session.ending?.commit !== undefined ? await branchHere(context, connection, session) : undefined;
  const document = { session, approvals, ...(branch && { branch: { name: branch.name, commit: branch.commit } }) };
  if (out.format !== 'text') out.json(document);
  else if (branch) tellBranch(context, branch);
}

/** Exit status of a command that followed a session as far as this one is. */
export function exitStatusOf({ state, failure }: Pick<SessionView, 'state' | 'failure'>): number {
  switch (state) {
    case 'done':
      return EXIT_CODES.ok.status;
    case 'cancelled':
      return EXIT_CODES.cancelled.status;
    case 'failed':
      return failure && isErrorCode(failure.code) ? ERROR_CODES[failure.code].exit : EXIT_CODES.taskFailed.status;
    default:
      return EXIT_CODES.personNeeded.status;
  }
}

export function tellBranch({ out }: HelixContext, { name, isNew, look }: ChangesBranch): void {
  out.note(`its changes are ${isNew ? 'the new branch' : 'branch'} ${name}; your files are as they were`);
  out.note(`next: ${look}`);
}

function tellEnd({ out, canAsk }: HelixContext, { session, approvals, parkedBecause }: Followed): void {
  const { noteStyle: style } = out;
  const { ending, failure, id, inputTokens, outputTokens } = session;
  const spent = style.dim(
    `(${[...factsOf({ ...session, worker: undefined }), `${formatTokens(inputTokens + outputTokens)} tokens`].join(', ')})`,
  );
  switch (session.state) {
    case 'done':
      if (ending?.proof === 'plan') for (const line of planLines(ending.plan, out.style)) out.line(line);
      else if (ending) out.line(ending.text.trim());
      out.note(`${style.green(style.glyphs.done)} ${ending ? proofOf(ending) : 'done'} ${spent}`);
      return;
    case 'failed':
      out.note(
        `${style.red(style.glyphs.failed)} ${failure ? `${oneLine(failure.message)} (${oneLine(failure.code)})` : 'it failed'} ${spent}`,
      );
      out.note(`next: ${failure?.next ?? `helix sessions show ${id}`}`);
      return;
    case 'cancelled':
      out.note(`${style.glyphs.cancelled} session ${id} is cancelled ${spent}`);
      return;
    default:
      // Who was asked at the terminal has seen the questions; why it stopped by itself stands in the conversation.
      if (!canAsk)
        for (const approval of approvals) if (approval.kind !== 'parked') for (const line of approvalLines(approval, style)) out.note(line);
      out.note(`${style.yellow(style.glyphs.paused)} session ${id} waits for a person ${spent}`);
      for (const approval of approvals) out.note(`next: ${answeringCommand(approval, parkedBecause)}; then helix sessions attach ${id}`);
  }
}

function proofOf(ending: NonNullable<SessionView['ending']>): string {
  switch (ending.proof) {
    case 'verified':
      return `done, and its checks passed: ${ending.receipts.map((id) => `helix receipts show ${id}`).join('; ')}`;
    case 'nothing_to_verify':
      return 'done; nothing was checked (tools.verify of helix.json names the commands that must pass)';
    case 'plan':
      return 'the plan is agreed to';
  }
}

/** @returns `undefined` where the command is not run in the repository of the session */
async function branchHere(context: HelixContext, connection: Connection, session: SessionView): Promise<ChangesBranch | undefined> {
  try {
    return await takeChanges(connection, await findRepository(context.cwd), session);
  } catch (error) {
    if (!(error instanceof CodedError) || error.code !== 'cli.not_a_repository') throw error;
    context.out.note(`its changes: helix sessions fetch ${session.id}, in the repository`);
    return undefined;
  }
}
