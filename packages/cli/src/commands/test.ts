import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { CodedError } from '@helixcode/protocol/errors';
import type { TestSpec } from '@helixcode/protocol/task/task-spec';
import type { TestReport } from '@helixcode/protocol/test/test-result';
import { type Connection, connect } from '../connect.ts';
import { exitStatusOf } from '../follow/follow-task.ts';
import { renderTestSummary } from '../follow/test-summary.ts';
import type { HelixContext } from '../helix-context.ts';
import { handOver } from '../repository/hand-over.ts';
import { readRepositoryConfig } from '../repository/repository-config.ts';
import { findRepository } from '../repository/snapshot.ts';
import { type SubmitFlags, submitAndFollow, termsOf } from '../submit-and-follow.ts';

interface Flags extends SubmitFlags {
  runner?: string;
  junit?: string;
  coverage?: string;
  maxSlots?: number;
  retry: boolean;
}

export default async function test(this: HelixContext, flags: Flags, ...patterns: string[]): Promise<void> {
  const { out } = this;
  const terms = termsOf(flags);
  const root = await findRepository(this.cwd);
  const { tools } = await readRepositoryConfig(root);
  const connection = await connect(this);
  const source = await handOver(this, connection, root);
  const runner = (flags.runner as TestSpec['runner']) ?? tools.test?.runner;
  const task = await submitAndFollow(
    this,
    connection,
    {
      kind: 'test',
      ...terms,
      spec: {
        ...source,
        patterns,
        args: tools.test?.args ?? [],
        env: tools.test?.env ?? {},
        ...(runner !== undefined && { runner }),
        ...(tools.test?.junit && { junit: tools.test.junit }),
        ...(tools.test?.unitTimeoutMs !== undefined && { unitTimeoutMs: tools.test.unitTimeoutMs }),
        ...(tools.setup !== undefined && { setup: tools.setup }),
        ...(flags.maxSlots !== undefined && { maxSlots: flags.maxSlots }),
        coverage: flags.coverage !== undefined,
        retryFailures: flags.retry,
      },
    },
    flags,
  );
  if (task === undefined) return;
  this.exitStatus = exitStatusOf(task);
  const report = task.result as TestReport | undefined;
  if (report !== undefined) await writeDocuments(connection, task.id, flags, this);
  if (out.format !== 'text')
    return out.json({ task: task.id, state: task.state, ...(report && { report }), ...(task.failure && { failure: task.failure }) });
  if (report !== undefined) for (const line of renderTestSummary(report, out.style)) out.line(line);
  else if (task.failure)
    out.note(`${task.failure.message} (${task.failure.code})${task.failure.next === undefined ? '' : `\nnext: ${task.failure.next}`}`);
  else out.note(`the task is ${task.state}`);
  out.hint(
    flags.junit === undefined ? `helix tasks show ${task.id}; --junit report.xml writes the merged JUnit` : `helix tasks show ${task.id}`,
  );
}

async function writeDocuments(connection: Connection, task: string, flags: Flags, { cwd, out }: HelixContext): Promise<void> {
  for (const [route, file, what] of [
    ['tasks.junit', flags.junit, 'JUnit'],
    ['tasks.coverage', flags.coverage, 'coverage'],
  ] as const) {
    if (file === undefined) continue;
    const target = path.resolve(cwd, file);
    try {
      const response = await connection.call(route, { params: { task } });
      await writeFile(target, Buffer.from(await response.arrayBuffer()));
      out.note(`${what}: ${target}`);
    } catch (cause) {
      if (!(cause instanceof CodedError) || cause.code !== 'api.not_found') throw cause;
      out.note(`there is no ${what}: ${cause.message}`);
    }
  }
}
