import { CodedError } from '@helixcode/protocol/errors';
import type { TaskId, UserId } from '@helixcode/protocol/ids';
import { taskSubmission } from '@helixcode/protocol/task/task-spec';
import { isSettled } from '@helixcode/protocol/task/task-state';
import { type TestReport, testReport } from '@helixcode/protocol/test/test-result';
import type { EventTail } from '../events/event-tail.ts';
import type { Notary } from '../receipts/notary.ts';
import { cancelTask } from '../tasks/cancel-task.ts';
import { submitTask } from '../tasks/submit-task.ts';
import type { TaskContext } from '../tasks/task-context.ts';
import type { TaskRow } from '../tasks/task-row.ts';
import { getTask } from '../tasks/task-sql.ts';
import { endChecks, findCheck, insertCheck, listUnwantedChecks } from './check-sql.ts';
import type { Verdict, Verify, VerifyRequest } from './merge-context.ts';
import { lockEntry } from './merge-sql.ts';

const SWEEP_MS = 2_000;
const SHOWN_FAILURES = 20;
/** @see taskSubmission */
const MAX_NAME = 200;
const MAX_FAILURE_TEXT = 600;

export interface SuiteVerification {
  verify: Verify;
  stop(): Promise<void>;
}

export interface SuiteVerificationDeps extends TaskContext {
  startDriver(task: TaskRow): void;
  tail: Pick<EventTail, 'position' | 'subscribe'>;
  notary: Pick<Notary, 'receiptOf'>;
  /** Whether this server ends checks that nobody waits for any more. */
  isFirst?: () => boolean;
}

/**
 * Verifies by the project's suite: a task of kind `test` at the commit, sharded over the pool. The task is written down together with
 * the try that it is for, so that there is one, whoever waits for it.
 */
export function createSuiteVerification(deps: SuiteVerificationDeps): SuiteVerification {
  const { db, log } = deps;
  const isFirst = deps.isFirst ?? (() => true);

  async function begin({ entry, try: number, title, root, project, commit }: VerifyRequest): Promise<TaskId> {
    const { priority, created_by: user } = await getTask(db, root);
    return db.tx(async (tx) => {
      // Another server may ask for the same at this moment.
      await lockEntry(tx, entry);
      const known = await findCheck(tx, entry, number);
      if (known) return known;
      const submission = taskSubmission.parse({
        kind: 'test',
        name: `verify: ${title}`.slice(0, MAX_NAME).toWellFormed(),
        spec: { project, commit },
        priority,
      });
      const context = {
        ...deps,
        db: tx,
        wakeEvents: () => tx.afterCommit(deps.wakeEvents),
        wakePlacement: () => tx.afterCommit(deps.wakePlacement),
        startDriver: (task: TaskRow) => tx.afterCommit(() => deps.startDriver(task)),
      };
      const { id } = await submitTask(context, submission, (user ?? '') as UserId);
      await insertCheck(tx, entry, number, id);
      return id;
    });
  }

  async function waitFor(id: TaskId, signal: AbortSignal): Promise<TaskRow> {
    for (;;) {
      // What happens after this is told; what happened before is in the row.
      const after = await deps.tail.position(undefined);
      const row = await getTask(db, id);
      if (isSettled(row.state)) return row;
      try {
        for await (const { task, body } of deps.tail.subscribe({ topic: `task:${id}`, after, signal }))
          if (task === id && body.type === 'task.moved' && isSettled(body.to)) break;
      } catch (error) {
        if (!(error instanceof CodedError) || error.code !== 'api.cursor_too_old') throw error;
      }
      signal.throwIfAborted();
    }
  }

  async function endUnwanted(): Promise<void> {
    for (const id of await listUnwantedChecks(db))
      await cancelTask(deps, id).catch((error: unknown) => {
        // It came to its end meanwhile.
        if (!(error instanceof CodedError) || error.code !== 'task.move_refused') throw error;
      });
    await endChecks(db);
  }

  let sweeping: Promise<void> | undefined;
  const timer = setInterval(() => {
    if (!isFirst()) return;
    sweeping ??= endUnwanted()
      .catch((error: unknown) => log.debug({ err: error }, 'checks that nobody waits for were not ended and will be soon'))
      .finally(() => {
        sweeping = undefined;
      });
  }, SWEEP_MS);

  return {
    async verify(request) {
      const task = await waitFor(await begin(request), request.signal);
      const receipt = task.state === 'completed' ? await deps.notary.receiptOf(task.id) : undefined;
      return toVerdict(task, receipt ? [receipt.receipt.id] : []);
    },
    async stop() {
      clearInterval(timer);
      await sweeping;
    },
  };
}

function toVerdict(task: TaskRow, receipts: string[]): Verdict {
  const report = testReport.safeParse(task.result).data;
  if (task.state === 'completed') return { passed: true, receipts, summary: report ? `${report.totals.passed} tests passed` : 'passed' };
  const why = task.failure?.message ?? `${task.name} was ${task.state}`;
  return { passed: false, receipts, summary: [`${why} (task ${task.id})`, ...(report ? failuresOf(report) : [])].join('\n') };
}

function failuresOf({ failures }: TestReport): string[] {
  const shown = failures.slice(0, SHOWN_FAILURES).map(({ unit, name, message, file, line }) => {
    const place = `${file ?? unit}${line === undefined ? '' : `:${line}`}`;
    return `${place} ${name}\n${message.slice(0, MAX_FAILURE_TEXT).toWellFormed().replace(/^/gm, '  ')}`;
  });
  return failures.length > SHOWN_FAILURES ? [...shown, `and ${failures.length - SHOWN_FAILURES} more`] : shown;
}
