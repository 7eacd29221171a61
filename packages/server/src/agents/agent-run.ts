import type { Conversation, Ending } from '@helixcode/agent/conversation';
import { nextStep, type ReadyCall, type Step } from '@helixcode/agent/loop';
import { decideCall } from '@helixcode/agent/permission/decide-call';
import { repeatedPiece } from '@helixcode/agent/stuck';
import { type Outcome, takeOutcome } from '@helixcode/agent/take-outcome';
import { runCall } from '@helixcode/agent/tools/run-call';
import { failed, type ToolOutcome } from '@helixcode/agent/tools/tool';
import { findTool } from '@helixcode/agent/tools/tool-set';
import type { Workspace } from '@helixcode/agent/workspace';
import { CodedError, type ErrorFact } from '@helixcode/protocol/errors';
import type { ModelPurpose } from '@helixcode/protocol/model/model-purpose';
import type { Progress, TaskRow } from '../tasks/task-row.ts';
import type { AgentDeps, SeatFiles } from './agent-deps.ts';
import { findApprovalByKey } from './approval-sql.ts';
import { answerOf, askPerson } from './ask-person.ts';
import type { Bell } from './bell.ts';
import { findSeat, findSeatTask, type Seat } from './seat.ts';
import { SeatLost, SeatRecorder } from './seat-recorder.ts';
import { readStanding, type Standing, writeEntries } from './session-book.ts';
import { findSession, type NewEntry, type SessionCheckpoint, type SessionRow } from './session-sql.ts';
import { SPAWNED } from './start-session.ts';
import { hostOf } from './task-host.ts';
import { gatherEvidence } from './verify.ts';
import { Written } from './written.ts';

/** What is waited for is looked at so often where nothing is told of it. */
const LOOK_EVERY_MS = 2_000;
const QUESTION_CHARACTERS = 2_000;

type Unclocked = Outcome extends infer One ? (One extends { atMs: number } ? Omit<One, 'atMs'> : never) : never;

/** How the work of an agent ended. */
export interface RunEnd {
  ending: Ending;
  checkpoint: SessionCheckpoint | undefined;
}

/**
 * Does the steps of a conversation, one after the other, and writes down what each gave. Between two steps it is nothing but the books: whatever ends it,
 * another one goes on from them.
 *
 * What a call did counts once its outcome and the files it left are written down. That is waited for while the model already reads the outcome, never beyond its
 * answer: of what was not written down nothing follows.
 */
export class AgentRun {
  readonly #deps: AgentDeps;
  readonly #task: TaskRow;
  readonly #bell: Bell;
  readonly #signal: AbortSignal;
  #session: SessionRow;
  #standing: Standing;
  #knownSeat: Seat | undefined;
  /** Its worker says that there is nothing of it. */
  #gone: Seat['attempt'] | undefined;
  readonly #recorder: SeatRecorder;
  #opened: { attempt: Seat['attempt']; files: SeatFiles } | undefined;
  /** Somebody else wrote in between: the next step is decided from the books. */
  #isOvertaken = false;
  /** What was taken in is not on the books, and will not be. */
  #isBroken = false;
  readonly #queue: { entries: NewEntry[]; files: Promise<SessionCheckpoint> | undefined }[] = [];
  #writing: Promise<void> = Promise.resolve();

  private constructor(deps: AgentDeps, task: TaskRow, session: SessionRow, standing: Standing, bell: Bell, signal: AbortSignal) {
    this.#deps = deps;
    this.#task = task;
    this.#session = session;
    this.#standing = standing;
    this.#bell = bell;
    this.#signal = signal;
    this.#recorder = new SeatRecorder(deps, task.id, signal);
  }

  static async open(deps: AgentDeps, task: TaskRow, session: SessionRow, bell: Bell, signal: AbortSignal): Promise<AgentRun> {
    return new AgentRun(deps, task, session, await readStanding(deps.db, session.head), bell, signal);
  }

  /**
   * @param onProgress told what it is at
   * @throws NotDriven when the task does not want the work any more; whatever else makes going on impossible at present
   */
  async toEnd(onProgress: (progress: Progress) => void): Promise<RunEnd> {
    for (;;) {
      this.#signal.throwIfAborted();
      if (this.#isBroken || this.#isOvertaken) await this.#readAgain();
      const { conversation } = this.#standing;
      const step = nextStep(conversation, Date.now());
      onProgress({ phase: phaseOf(step), done: conversation.turns, total: 0 });
      if (step.do === 'done') {
        if (await this.#isOnTheBooks()) return { ending: step.ending, checkpoint: this.#standing.checkpoint };
      } else await this.#do(step).catch((error: unknown) => this.#leaveSeat(error));
    }
  }

  /** Where the files are gone, it goes on from the books, elsewhere. @throws whatever else it was */
  #leaveSeat(error: unknown): void {
    if (!(error instanceof SeatLost)) throw error;
    this.#isBroken = true;
  }

  async #do(step: Exclude<Step, { do: 'done' }>): Promise<void> {
    switch (step.do) {
      case 'call_model':
        return this.#callModel(step);
      case 'run_tools':
        return this.#runTools(step.calls);
      case 'learn':
        return this.#learn(step.calls);
      case 'verify':
        return this.#verify(step.commands);
      case 'park':
        return this.#park(step.reason);
    }
  }

  async #callModel(step: Step & { do: 'call_model' }): Promise<void> {
    const { gateway } = this.#deps;
    const { settings, user_id: user, run_id: run, mode } = this.#session;
    const { model: _, ...request } = step.request;
    const { costUsd } = this.#standing.conversation;
    if (settings.spendUsd !== undefined && costUsd !== undefined && costUsd >= settings.spendUsd)
      return this.#park({ code: 'budget.spent', message: `it has spent the ${settings.spendUsd} USD it was given` });
    const purpose: ModelPurpose = step.purpose === 'summary' ? 'summary' : mode === 'plan' ? 'plan' : 'agent';
    const hangUp = new AbortController();
    let text = '';
    let repeated: string | undefined;
    const events = gateway.stream(
      { ...request, ...(settings.model !== undefined && { model: settings.model }) },
      {
        purpose,
        user,
        run,
        signal: AbortSignal.any([this.#signal, hangUp.signal]),
        ...(settings.budgetUsd !== undefined && { budget: { usd: settings.budgetUsd } }),
      },
    );
    for await (const event of events) {
      if (event.type === 'text' && repeated === undefined) {
        text += event.text;
        repeated = repeatedPiece(text);
        if (repeated !== undefined) hangUp.abort();
      }
      if (event.type !== 'done' && event.type !== 'error') continue;
      this.#signal.throwIfAborted();
      // What the answer is about must be on the books before it is.
      if (!(await this.#isWritten())) return;
      if (event.type === 'error' || repeated !== undefined) {
        // What came before it was hung up on may be all there was.
        const error = repeated !== undefined || event.type !== 'error' ? repeatsItself(repeated ?? '') : event.error.toFact();
        this.#take([{ outcome: { type: 'model_failed', purpose: step.purpose, error } }]);
        return;
      }
      const { ending, message, usage, costUsd, replayed } = event;
      const answer = { ending, message, usage, costUsd };
      const outcome: Unclocked =
        step.purpose === 'turn' ? { type: 'model_answered', basis: step.basis, answer } : { type: 'summed_up', cut: step.cut, answer };
      this.#take([{ outcome, facts: replayed ? { replayed } : undefined }]);
      return;
    }
    throw new Error('a model stream ended with neither done nor error');
  }

  async #runTools(calls: readonly ReadyCall[]): Promise<void> {
    const seat = await this.#seat();
    this.#take([{ outcome: { type: 'tools_started', callIds: calls.map(({ callId }) => callId) }, facts: { attempt: seat.attempt } }]);
    // A look changes nothing: it need not be on the books before it is taken, only before an answer about it counts.
    const isLook = calls.every(({ tool }) => findTool(tool)?.effect === 'read');
    if (isLook || (await this.#isWritten())) await this.#makeCalls(seat, calls);
  }

  /** Makes calls that are written down as begun, and writes down what they gave. */
  async #makeCalls(seat: Seat, calls: readonly ReadyCall[]): Promise<void> {
    const { conversation } = this.#standing;
    const files = await this.#filesOf(seat);
    const around = { task: this.#task, session: this.#session };
    const context = {
      seen: conversation.seen,
      instructedFolders: conversation.instructedFolders,
      isPlanning: conversation.settings.mode === 'plan',
      signal: this.#signal,
    };
    const written = new Written();
    const outcomes = await Promise.all(
      calls.map(async (call): Promise<Unclocked> => {
        try {
          const key = this.#keyOf(call);
          const refusal = await this.#refusalOf(call, seat, files.root);
          if (refusal) return { type: 'tool_finished', callId: call.callId, outcome: refusal };
          const workspace = written.through(unhurried(files.forCall(key)));
          const { task, session } = around;
          const host = hostOf(
            { deps: this.#deps, task, session, bell: this.#bell, workspace, record: () => this.#recorder.record(seat) },
            key,
          );
          const outcome = await orLeave(runCall(call, { ...context, workspace, host }), this.#signal);
          return { type: 'tool_finished', callId: call.callId, outcome };
        } catch (error) {
          if (isGone(error)) this.#gone = seat.attempt;
          return this.#withoutOutcome(call, error);
        }
      }),
    );
    const mayHaveChanged = calls.some(({ tool }) => tool === 'spawn' || ['write', 'run'].includes(findTool(tool)?.effect ?? ''));
    const isKnown = calls.every(({ tool }) => findTool(tool)?.effect === 'write') && outcomes.every(({ type }) => type === 'tool_finished');
    if (!mayHaveChanged || (isKnown && written.isNothing)) return this.#take(outcomes.map((outcome) => ({ outcome })));
    this.#take(
      outcomes.map((outcome) => ({ outcome })),
      isKnown && written.files ? this.#recorder.recordWritten(seat, written.files) : this.#recorder.record(seat),
    );
  }

  /** What a call is known by in its task, also after a crash. Vendors may give the same id again in a later answer. */
  #keyOf({ callId }: ReadyCall): string {
    return `${this.#standing.conversation.turns}-${callId}`;
  }

  #permitKeyOf(call: ReadyCall): string {
    return `permit-${this.#task.id}-${this.#keyOf(call)}`;
  }

  /** Whether the policy, or a person, says no. Waits for the word of a person where the policy wants one. */
  async #refusalOf(call: ReadyCall, seat: Seat, root: string): Promise<ToolOutcome | undefined> {
    const { tool, input } = call;
    const { policy, pool, ownAddress } = this.#deps;
    const isSandboxed =
      pool
        .workers()
        .find(({ id }) => id === seat.worker)
        ?.labels.has('sandbox:full') ?? false;
    const { decision, reason = '' } = decideCall({ tool, input }, policy.permissions, { root, isSandboxed, api: [ownAddress()] });
    if (decision === 'allow') return undefined;
    if (decision === 'deny') return failed(`not done: ${reason}`);
    const what = typeof input['command'] === 'string' ? input['command'] : JSON.stringify(input);
    const asked = {
      session_id: this.#session.id,
      task_id: this.#task.id,
      kind: 'permission' as const,
      key: this.#permitKeyOf(call),
      details: {},
    };
    const question = `May it ${tool} ${what.slice(0, QUESTION_CHARACTERS)}? ${reason}`;
    const { isAccepted, text } = await answerOf(this.#deps, this.#task, { ...asked, question }, this.#bell, this.#signal);
    return isAccepted ? undefined : failed(`not done: a person refused it${text === '' ? '' : `: ${text}`}`);
  }

  /** What can be said of a call that gave no outcome. @throws what is no fact about the call */
  #withoutOutcome({ callId, tool }: ReadyCall, error: unknown): Unclocked {
    this.#signal.throwIfAborted();
    if (!(error instanceof CodedError)) throw error;
    if (error.code === 'database.unavailable') throw error;
    // What was asked of the pool and could not be had is an answer; what was done to files may have been done in part.
    if (findTool(tool)?.effect === 'host') return { type: 'tool_finished', callId, outcome: outcomeOf(error) };
    this.#knownSeat = undefined;
    return { type: 'tool_unknown', callId, why: error.message };
  }

  /**
   * These were begun by somebody who is gone. What went to the pool or to a person is asked for again by its key, and a command that its worker knows is attached to; of
   * all others nobody knows.
   */
  async #learn(calls: readonly ReadyCall[]): Promise<void> {
    const seat = await this.#seat();
    const isSameSeat = this.#standing.startedOn === seat.attempt;
    const again: ReadyCall[] = [];
    const lost: NewEntry[] = [];
    for (const call of calls) {
      const effect = findTool(call.tool)?.effect;
      // What waits for the word of a person was not begun.
      const permit = await findApprovalByKey(this.#deps.db, this.#session.id, this.#permitKeyOf(call));
      if (effect === 'host' || (effect === 'run' && isSameSeat) || (permit && !permit.answered_at)) again.push(call);
      else {
        const why = isSameSeat
          ? 'the server ended while it was made'
          : 'the worker it was made on was lost; the files are as they were last recorded, before it or while it was made';
        lost.push({ outcome: clocked({ type: 'tool_unknown', callId: call.callId, why }) });
      }
    }
    // What they may have done, the model will see there, and build on it.
    if (lost.length > 0)
      this.#take(
        lost.map(({ outcome }) => ({ outcome: outcome as Outcome })),
        isSameSeat ? this.#recorder.record(seat) : undefined,
      );
    if (again.length > 0) await this.#makeCalls(seat, again);
    await this.#writing;
  }

  async #verify(commands: readonly string[]): Promise<void> {
    if (!(await this.#isOnTheBooks())) return;
    const { deps, session } = { deps: this.#deps, session: this.#session };
    const before = await this.#recorder.record(await this.#seat());
    const round = `verify-${this.#standing.head}`;
    const receipts = await gatherEvidence(
      { deps, task: this.#task, session, bell: this.#bell, signal: this.#signal },
      round,
      commands,
      before.commit,
    );
    const after = await this.#recorder.record(await this.#seat());
    const treeHash = await deps.treeOf(session.project_id, after.commit);
    this.#take([{ outcome: { type: 'evidence_given', receipts, treeHash }, checkpoint: after }]);
  }

  async #park(reason: ErrorFact): Promise<void> {
    // Nobody looks on: the one it works for reads what it had.
    if (this.#task.key?.startsWith(SPAWNED)) throw CodedError.fromFact(reason);
    if (this.#standing.conversation.parked === undefined) this.#take([{ outcome: { type: 'parked', reason } }]);
    if (!(await this.#isOnTheBooks())) return;
    const known = this.#standing.head;
    await askPerson(this.#deps, this.#task, {
      session_id: this.#session.id,
      task_id: this.#task.id,
      kind: 'parked',
      key: `parked-${known}`,
      question: reason.next === undefined ? reason.message : `${reason.message}; ${reason.next}`,
      details: {},
    });
    // A word of a person, or being let go on, is an entry.
    for (;;) {
      await this.#bell.next(LOOK_EVERY_MS);
      this.#signal.throwIfAborted();
      if ((await findSession(this.#deps.db, this.#session.id))?.head !== known) break;
    }
    this.#isOvertaken = true;
  }

  async #filesOf(seat: Seat): Promise<SeatFiles> {
    if (this.#opened?.attempt !== seat.attempt) {
      const opening = this.#deps.openSeat(seat, this.#signal).catch((error: unknown) => {
        if (!isGone(error)) throw error;
        this.#gone = seat.attempt;
        throw new SeatLost('the worker was lost before its files were opened');
      });
      this.#opened = { attempt: seat.attempt, files: await orLeave(opening, this.#signal) };
    }
    return this.#opened.files;
  }

  /** Where the files are may have changed. */
  forgetSeat(): void {
    this.#knownSeat = undefined;
  }

  /** Waits until the files are somewhere. */
  async #seat(): Promise<Seat> {
    for (;;) {
      this.#signal.throwIfAborted();
      this.#knownSeat ??= await findSeat(this.#deps.db, this.#task.id);
      if (this.#knownSeat && this.#knownSeat.attempt !== this.#gone) return this.#knownSeat;
      // The books learn of it too, in a moment.
      this.#gone = undefined;
      this.#knownSeat = undefined;
      const leaf = await findSeatTask(this.#deps.db, this.#task.id);
      if (leaf?.state === 'failed' || leaf?.state === 'cancelled')
        throw CodedError.fromFact(leaf.failure ?? { code: 'job.lost', message: 'the workspace of the agent is gone' });
      await this.#bell.next(LOOK_EVERY_MS);
    }
  }

  /**
   * Takes in what happened, here at once and in the books soon: `#writing` tells when. With `files`, only once they are recorded; where they cannot be, none of it has
   * happened as far as the books know.
   */
  #take(
    entries: readonly { outcome: Unclocked | Outcome; facts?: NewEntry['facts']; checkpoint?: SessionCheckpoint }[],
    files?: Promise<SessionCheckpoint>,
  ): void {
    const written = entries.map(({ outcome, facts, checkpoint }): NewEntry => ({ outcome: clocked(outcome), facts, checkpoint }));
    const standing = this.#standing;
    standing.conversation = written.reduce<Conversation>(
      (conversation, { outcome }) => takeOutcome(conversation, outcome as Outcome),
      standing.conversation,
    );
    const started = written.findLast(({ outcome }) => outcome.type === 'tools_started');
    if (started) standing.startedOn = started.facts?.attempt;
    files?.catch(() => {});
    this.#queue.push({ entries: written, files });
    this.#writing = this.#writing.then(() => this.#writeQueue());
    // Whoever needs it to be written awaits it, and is told then.
    this.#writing.catch(() => {});
  }

  async #writeQueue(): Promise<void> {
    // What is taken in within a turn of the loop is written together.
    await new Promise((resolve) => setImmediate(resolve));
    const first = this.#queue.shift();
    if (!first || this.#isBroken) return;
    const entries = [...first.entries];
    try {
      const checkpoint = await first.files;
      const last = entries.at(-1);
      if (last && checkpoint) last.checkpoint = checkpoint;
    } catch (error) {
      if (!(error instanceof SeatLost)) throw error;
      this.#isBroken = true;
      return;
    }
    while (this.#queue[0] && !this.#queue[0].files) entries.push(...(this.#queue.shift()?.entries ?? []));
    const { id, root_id: root } = this.#task;
    const standing = this.#standing;
    const { head, isOvertaken } = await writeEntries(this.#deps.db, this.#session.id, { task: id, root, known: standing.head }, entries);
    standing.head = head;
    standing.checkpoint = entries.findLast(({ checkpoint }) => checkpoint)?.checkpoint ?? standing.checkpoint;
    if (isOvertaken) this.#isOvertaken = true;
    this.#deps.wakeEvents();
  }

  /** Waits until what was taken in is written. @returns false when it cannot be */
  async #isWritten(): Promise<boolean> {
    await this.#writing;
    return !this.#isBroken;
  }

  /** Waits until what was taken in is written. @returns whether the books say the same as what is known here */
  async #isOnTheBooks(): Promise<boolean> {
    return (await this.#isWritten()) && !this.#isOvertaken;
  }

  async #readAgain(): Promise<void> {
    await this.#writing;
    this.#recorder.forget();
    this.#queue.length = 0;
    this.#knownSeat = undefined;
    const session = await findSession(this.#deps.db, this.#session.id);
    if (!session) throw new Error(`session ${this.#session.id} is gone`);
    this.#session = session;
    this.#standing = await readStanding(this.#deps.db, session.head);
    this.#isBroken = false;
    this.#isOvertaken = false;
  }
}

/** The checkout is not there any more, or not to be asked. */
function isGone(error: unknown): boolean {
  return error instanceof CodedError && error.code === 'workspace.gone';
}

/** Commands outlive who drives: another one attaches to them. What ends them is the end of their seat. */
function unhurried(workspace: Workspace): Workspace {
  return { ...workspace, run: (request) => workspace.run(request, NEVER) };
}

const NEVER = new AbortController().signal;

/** Waits for what is done elsewhere, but no longer than the one who waits is wanted. */
function orLeave<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  work.catch(() => {});
  const { promise, reject } = Promise.withResolvers<never>();
  const leave = (): void => reject(signal.reason);
  if (signal.aborted) leave();
  signal.addEventListener('abort', leave, { once: true });
  return Promise.race([work, promise]).finally(() => signal.removeEventListener('abort', leave));
}

function repeatsItself(piece: string): ErrorFact {
  return { code: 'agent.repeats_itself', message: `the model says the same over and over: ${JSON.stringify(piece.slice(0, 80))}` };
}

function clocked(outcome: Unclocked | Outcome): Outcome {
  return { atMs: Date.now(), ...outcome } as Outcome;
}

function outcomeOf(error: CodedError): ToolOutcome {
  return failed(error.next === undefined ? error.message : `${error.message}; ${error.next}`);
}

function phaseOf(step: Step): string {
  switch (step.do) {
    case 'call_model':
      return step.purpose === 'summary' ? 'summing up' : 'thinking';
    case 'run_tools':
    case 'learn':
      return [...new Set(step.calls.map(({ tool }) => tool))].join(', ');
    case 'verify':
      return 'verifying';
    case 'park':
      return 'waits for a person';
    case 'done':
      return 'done';
  }
}
