import { createHash } from 'node:crypto';
import type { ServerId } from '@helixcode/protocol/ids';
import { canonicalJson } from '@helixcode/protocol/receipt/canonical-json';
import { type ReceiptBody, receiptBody } from '@helixcode/protocol/receipt/receipt';
import { type BuildSpec, buildSpec, type ShellSpec, type TestSpec } from '@helixcode/protocol/task/task-spec';
import { testReport } from '@helixcode/protocol/test/test-result';
import type { Db } from '../db/db.ts';
import { countParts, groupAttemptsBelow, type OwedRow, readAttempt } from './receipt-sql.ts';

export interface ReceiptFacts {
  server: ServerId;
  /** Hash of the tree of the commit, as the server's own copy of the repository has it. */
  tree: string;
  issuedAt: Date;
}

/**
 * Puts a receipt together from what the workers reported of their attempts; nothing of it comes from a text that a program or a model
 * printed, but for the counts of tests, which the server itself read from the runner's report.
 *
 * @returns `undefined` for what cannot be vouched for: a command that began at a checkpoint did not run at the tree of its commit, and a divided
 *   task of which nothing ran proves nothing
 */
export async function writeReceipt(db: Db, owed: OwedRow, facts: ReceiptFacts): Promise<ReceiptBody | undefined> {
  const measured = owed.is_leaf ? await ofLeaf(db, owed) : await ofDivided(db, owed);
  if (!measured) return undefined;
  const { startedAt, ...work } = measured;
  const spec = owed.spec as ShellSpec | BuildSpec | TestSpec;
  const report = owed.kind === 'test' ? testReport.safeParse(owed.result) : undefined;
  return receiptBody.parse({
    receipt: 1,
    id: owed.id,
    server: facts.server,
    project: { id: owed.project_id, name: owed.project_name },
    commit: spec.commit,
    tree: facts.tree,
    task: owed.task_id,
    kind: owed.kind,
    command: commandOf(owed),
    specSha256: createHash('sha256').update(canonicalJson(owed.spec)).digest('hex'),
    ...work,
    ...(report?.success && { tests: report.data.totals }),
    startedAt: (owed.started_at ?? startedAt ?? owed.finished_at).toISOString(),
    finishedAt: owed.finished_at.toISOString(),
    issuedAt: facts.issuedAt.toISOString(),
  } satisfies ReceiptBody | { commit: string | undefined });
}

type Measured = Pick<ReceiptBody, 'attempt' | 'parts'> & { startedAt: Date | null };

async function ofLeaf(db: Db, { result }: OwedRow): Promise<Measured | undefined> {
  const id = (result as { attempt?: string } | null)?.attempt;
  const attempt = id === undefined ? undefined : await readAttempt(db, id);
  if (!attempt || attempt.is_restored) return undefined;
  return {
    startedAt: attempt.started_at,
    attempt: {
      id: attempt.id,
      worker: { id: attempt.worker_id, name: attempt.worker_name },
      exitCode: attempt.exit_code,
      wallMs: attempt.wall_ms,
      outputBytes: attempt.output_bytes,
    },
  };
}

async function ofDivided(db: Db, { task_id }: OwedRow): Promise<Measured | undefined> {
  const [groups, { tasks, reused }] = await Promise.all([groupAttemptsBelow(db, task_id), countParts(db, task_id)]);
  const attempts = groups.reduce((sum, group) => sum + group.attempts, 0);
  if (groups.some(({ restored }) => restored > 0) || attempts + reused === 0) return undefined;
  const exitCodes: Record<string, number> = {};
  for (const { exit_code, attempts: count } of groups) exitCodes[exit_code] = (exitCodes[exit_code] ?? 0) + count;
  const workers = new Map(groups.map(({ worker_id, worker_name }) => [worker_id, { id: worker_id, name: worker_name }]));
  const [startedAt = null] = groups.flatMap(({ started_at }) => started_at ?? []).sort((a, b) => Number(a) - Number(b));
  return { startedAt, parts: { tasks, reused, attempts, exitCodes, workers: [...workers.values()] } };
}

function commandOf({ kind, spec, result }: OwedRow): string {
  switch (kind) {
    case 'shell':
      return (spec as ShellSpec).command;
    case 'build':
      return buildSpec
        .parse(spec)
        .targets.map(({ name, command }) => `${name}: ${command}`)
        .join('\n');
    case 'test': {
      const { runner, junit, args, patterns } = spec as TestSpec;
      const found = (result as { runner?: string } | null)?.runner;
      return [junit?.command ?? runner ?? found ?? 'test', ...args, ...patterns].join(' ');
    }
  }
}
