import type { Receipt } from '@helixcode/agent/evidence/receipt';
import { tellTestReport } from '@helixcode/agent/tools/run-tests';
import type { AgentSpec } from '@helixcode/protocol/task/task-spec';
import { type TestReport, testReport } from '@helixcode/protocol/test/test-result';
import { changedFiles } from '../projects/changed-files.ts';
import { listAttemptsOfTask } from '../tasks/attempt-sql.ts';
import { readStream } from '../tasks/read-stream.ts';
import type { TaskRow } from '../tasks/task-row.ts';
import type { AgentDeps } from './agent-deps.ts';
import type { Bell } from './bell.ts';
import { runBelow } from './run-below.ts';
import type { SessionRow } from './session-sql.ts';
import { testSubmission } from './test-submission.ts';

/** Stands for the whole suite, divided over the pool, among the commands that must pass. */
export const SUITE = 'helix test';
const TAIL_BYTES = 4_000;
/** Files whose change can make a suite smaller: tests, what they share, and what runners are told. */
const MAY_HOLD_TESTS = /test|spec|fixture|conftest|config|\.(json|toml|ini|cfg|ya?ml|mod)$|(^|\/)\./i;

/**
 * Runs what must pass at the end, in fresh checkouts of a commit, and gives the receipts of it: signed ones of what passed. What failed, or could not be run, has a
 * receipt without a signature: it proves nothing, and tells what to mend.
 *
 * @param round names the try: the same again waits for what was begun
 */
export async function gatherEvidence(
  { deps, task, session, bell, signal }: { deps: AgentDeps; task: TaskRow; session: SessionRow; bell: Bell; signal: AbortSignal },
  round: string,
  commands: readonly string[],
  commit: string,
): Promise<Receipt[]> {
  const treeHash = await deps.treeOf(session.project_id, commit);
  const { project, setup } = task.spec as AgentSpec;

  /** A suite proves nothing once tests are taken out of it: where that may have been done, it is counted what ran at the base. */
  const testsGone = async (report: TestReport): Promise<string | undefined> => {
    const changed = await changedFiles(deps.mirrors, session.project_id, session.base_commit, commit);
    if (!changed.some((path) => MAY_HOLD_TESTS.test(path))) return undefined;
    const base = await runBelow(deps, task, 'baseline', testSubmission(task, session.base_commit, []), session.user_id, bell, signal);
    const before = ranIn(testReport.safeParse(base.result).data);
    const now = ranIn(report);
    if (now >= before) return undefined;
    return `${now} tests ran, ${before} at the beginning: tests may not be deleted or skipped. Put them back.`;
  };

  return Promise.all(
    commands.map(async (command, index): Promise<Receipt> => {
      const key = `${round}-${index}`;
      const submission =
        command === SUITE
          ? testSubmission(task, commit, [])
          : {
              kind: 'shell' as const,
              name: command.slice(0, 200),
              priority: Math.min(100, task.priority + 1),
              spec: { command, project, commit, ...(setup && { setup }) },
            };
      const run = await runBelow(deps, task, key, submission, session.user_id, bell, signal);
      const signed = run.state === 'completed' ? await deps.notary.receiptOf(run.id) : undefined;
      const report = command === SUITE ? testReport.safeParse(run.result).data : undefined;
      const gone = report && (await testsGone(report));
      if (gone !== undefined) return { id: run.id, command, exitCode: 1, treeHash, outputTail: gone };
      const tests = report && {
        passed: report.totals.passed,
        failed: report.totals.failed + report.totals.errors,
        skipped: report.totals.skipped,
      };
      if (signed && signed.receipt.tree === treeHash)
        return { id: signed.receipt.id, command, exitCode: 0, treeHash, ...(tests && { tests }) };
      const outputTail = report ? tellTestReport(report) : await tailOf(deps, run);
      return { id: run.id, command, exitCode: 1, treeHash, ...(tests && { tests }), outputTail };
    }),
  );
}

function ranIn(report: TestReport | undefined): number {
  return report ? report.totals.passed + report.totals.failed : 0;
}

async function tailOf({ db }: AgentDeps, run: TaskRow): Promise<string> {
  const why = run.failure ? `${run.failure.message}\n` : '';
  if (!run.is_leaf) return why;
  const [attempt] = (await listAttemptsOfTask(db, run.id)).slice(-1);
  if (!attempt) return why;
  const [out, err] = await Promise.all([readStream(db, attempt.id, 'out', TAIL_BYTES), readStream(db, attempt.id, 'err', TAIL_BYTES)]);
  return `${why}${out?.toString() ?? ''}${err?.toString() ?? ''}`;
}
