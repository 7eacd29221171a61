import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { type MergeEntryId, newId, type ProjectId, type TaskId } from '@helixcode/protocol/ids';
import type { MergeState } from '@helixcode/protocol/merge/merge-state';
import type { Db } from '@helixcode/server/db/db';
import type { Verdict, VerifyRequest } from '@helixcode/server/merge/merge-context';
import { createMergeQueues, type MergeOutcome, type MergeQueues } from '@helixcode/server/merge/merge-queues';
import { MERGE_REFS } from '@helixcode/server/projects/merge-refs';
import { createMirrors, type Mirrors } from '@helixcode/server/projects/mirror';
import { pino } from 'pino';
import { onTestFinished } from 'vitest';
import { givenFolder, givenRepository, type TestRepository } from '../projects/repository.ts';
import type { TestDatabase } from '../support/database.ts';

export const PASSED: Verdict = { passed: true, receipts: [], summary: 'passed' };

export interface GivenQueues {
  db: Db;
  mirrors: Mirrors;
  project: ProjectId;
  repository: TestRepository;
  base: string;
  /** A task of the kind that owns changes; without a root it is one. */
  task(root?: TaskId): Promise<TaskId>;
  /** Commits the files on top of `from`; a file without content is removed. The server has the commit after `bring`. */
  commit(from: string, files: Record<string, string | Buffer | null>): string;
  bring(): Promise<unknown>;
  /** Both. */
  change(from: string, files: Record<string, string | Buffer | null>): Promise<string>;
  /** Queues of a server; more than one may be there. */
  serve(options?: { db?: Db; mirrors?: Mirrors; verify?: (request: VerifyRequest) => Promise<Verdict> }): MergeQueues;
  /** Resolves when the entry is in one of the states. */
  until(queues: MergeQueues, entry: MergeEntryId, ...states: MergeState[]): Promise<MergeOutcome>;
  /** Calls it after every commit with events. @returns ends that */
  onEvents(listener: () => void): () => void;
  /** Owners that were woken, in order. */
  woken: TaskId[];
  /** In the mirror. */
  git(...args: string[]): string;
  /** What the ref of a queue stands on. */
  tipOf(queue: string): string;
}

/** A project with `files` in a mirror, and queues over the real database and git. */
export async function givenQueues({ db }: TestDatabase, files: Record<string, string>): Promise<GivenQueues> {
  const folder = givenFolder();
  const repository = givenRepository();
  const base = repository.commit(files);
  const mirrors = createMirrors(path.join(folder, 'repos'));
  const project = newId('project');
  await db.query(`insert into projects (id, name) values ($1, $1)`, [project]);
  await mirrors.create(project, repository.folder);
  const listeners = new Set<() => void>();
  const woken: TaskId[] = [];
  const git = (...args: string[]): string =>
    execFileSync('git', [`--git-dir=${mirrors.folderOf(project)}`, ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    }).trim();
  let branches = 0;
  const bring = (): Promise<unknown> => mirrors.fetch(project, repository.folder);
  const commit: GivenQueues['commit'] = (from, changed) => {
    const { git: run } = repository;
    run('checkout', '--quiet', '-B', `change-${branches++}`, from);
    const written: Record<string, string | Buffer> = {};
    for (const [name, content] of Object.entries(changed)) {
      if (content === null) run('rm', '--quiet', name);
      else written[name] = content;
    }
    return repository.commit(written);
  };

  return {
    db,
    mirrors,
    project,
    repository,
    base,
    woken,
    git,
    tipOf: (queue) => git('rev-parse', `${MERGE_REFS}/${queue}`),

    async task(root) {
      const id = newId('task');
      await db.query(
        `insert into distributed_tasks (id, root_id, parent_id, kind, name, is_leaf, spec, state, policy, lane)
         values ($1, coalesce($2, $1), $2, 'shell', $1, false, '{}', 'running', '{}', 0)`,
        [id, root ?? null],
      );
      return id;
    },

    onEvents(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    commit,
    bring,
    async change(from, changed) {
      const made = commit(from, changed);
      await bring();
      return made;
    },

    serve(options = {}) {
      const queues = createMergeQueues({
        db: options.db ?? db,
        mirrors: options.mirrors ?? mirrors,
        log: pino({ level: process.env['HELIX_TEST_LOG'] ?? 'silent' }),
        verify: options.verify ?? (async () => PASSED),
        wakeDriver: (task) => void woken.push(task),
        wakeEvents() {
          for (const listener of listeners) listener();
        },
      });
      onTestFinished(() => queues.stop());
      return queues;
    },

    async until(queues, entry, ...states) {
      for (;;) {
        const happened = new Promise<void>((resolve) => listeners.add(resolve));
        const outcome = await queues.outcomeOf(entry);
        if (states.includes(outcome.state)) return outcome;
        await happened;
      }
    },
  };
}
