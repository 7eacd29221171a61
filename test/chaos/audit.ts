import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { zstdDecompressSync } from 'node:zlib';
import type { TestReport } from '@helixcode/protocol/test/test-result';
import { type BookedAttempt, type BookedTask, type Books, readBooks, readStored } from './books.ts';
import { beganAt, CANNOT_WRITE, wrongWithStream } from './counting-job.ts';
import type { Finding, FindingKind } from './findings.ts';
import type { HandedIn, Load } from './load.ts';
import { type Receipts, readReceipts } from './receipts.ts';
import type { TaskPlan } from './task-plans.ts';
import type { World } from './world.ts';

/** What was looked at, and what is not as it must be. */
export interface Audited {
  findings: Finding[];
  tasks: number;
  attempts: number;
  /** How they ended, how many were set aside while their worker was silent, and how many began at a checkpoint. */
  attemptsBy: Record<string, number>;
}

type Find = (kind: FindingKind, what: string) => void;

/** A tree with what was known of it beforehand. */
interface Tree {
  root: BookedTask;
  /** The root too, where it is one. */
  leaves: BookedTask[];
  plan: TaskPlan;
}

/** Holds the books against what was handed in, what the jobs did, and what their supervisors recorded. */
export async function audit(world: World, load: Load): Promise<Audited> {
  const books = await readBooks(world.database.db);
  const receipts = readReceipts(load.sources.effects, world.workers);
  const findings: Finding[] = [];
  const findAt =
    (where: string): Find =>
    (kind, what) =>
      void findings.push({ kind, where, what });

  const roots = Map.groupBy(
    books.tasks.filter(({ parent_id }) => parent_id === null),
    ({ name }) => name,
  );
  const attemptsOf = Map.groupBy(books.attempts, ({ task_id }) => task_id);
  for (const one of load.handedIn) {
    const find = findAt(one.plan.name);
    const [root, ...more] = roots.get(one.plan.name) ?? [];
    roots.delete(one.plan.name);
    if (!root) {
      if (one.id !== undefined) find('lost', `it was taken as ${one.id}, and is not in the books`);
      continue;
    }
    if (more.length > 0)
      find('duplicated', `it was handed in once and is in the books as ${[root, ...more].map(({ id }) => id).join(', ')}`);
    if (one.id !== undefined && one.id !== root.id) find('lost', `it was taken as ${one.id} and is in the books as ${root.id}`);
    const leaves = books.tasks.filter(({ root_id, is_leaf }) => root_id === root.id && is_leaf);
    await auditTree(world, { root, leaves, plan: one.plan }, one, books, attemptsOf, receipts, find);
  }
  for (const name of roots.keys()) findAt(name)('broken', 'it is in the books, and nobody handed it in');
  const known = new Set(books.attempts.map(({ id }) => id));
  for (const [attempt, { begins }] of receipts.effects)
    if (!known.has(attempt) && begins > 0) findAt(attempt)('broken', 'the job ran, and its attempt is not in the books');
  await auditAnswers(world, books, findAt('the API'));
  const attemptsBy: Record<string, number> = {};
  const count = (what: string): void => void (attemptsBy[what] = (attemptsBy[what] ?? 0) + 1);
  for (const { state, fenced, restore } of books.attempts) {
    count(state);
    if (fenced) count('set aside');
    if (restore) count('from a checkpoint');
  }
  return { findings, tasks: books.tasks.length, attempts: books.attempts.length, attemptsBy };
}

async function auditTree(
  world: World,
  tree: Tree,
  handedIn: HandedIn,
  books: Books,
  attemptsOf: Map<string, BookedAttempt[]>,
  receipts: Receipts,
  find: Find,
): Promise<void> {
  const { root, leaves, plan } = tree;
  for (const task of books.tasks.filter(({ root_id }) => root_id === root.id)) {
    const { ends, retries } = books.ends.get(task.id) ?? { ends: 0, retries: 0 };
    const about = `${task.id} (${task.name})`;
    if (task.finished_at === null) find('lost', `${about} is ${task.state}: it has come to no end`);
    else if (ends !== 1 || retries !== 0)
      find(ends > 1 ? 'duplicated' : 'lost', `${about} is told to have ended ${ends} times, and to have gone on ${retries} times`);
  }
  auditOutcome(tree, handedIn, find);
  for (const leaf of leaves) await auditLeaf(world, plan, leaf, attemptsOf.get(leaf.id) ?? [], receipts, find);
  if (root.state === 'completed' && plan.artifact) await auditArtifact(world, tree, plan.artifact, find);
}

function auditOutcome({ root, leaves, plan }: Tree, { isCancelled }: HandedIn, find: Find): void {
  const { state, failure } = root;
  const why = failure ? `: ${failure.code}, ${failure.message}` : '';
  switch (plan.expected) {
    case 'completes':
      if (state !== 'completed') find('lost', `it must complete and is ${state}${why}`);
      break;
    case 'fails':
      if (state === 'completed') find('false success', 'its command fails, and it is completed');
      else if (failure?.code !== (plan.totals ? 'tests.failed' : 'job.command_failed'))
        find('lost', `it must fail by its command and is ${state}${why}`);
      break;
    case 'completes or is lost':
      if (state !== 'completed' && failure?.code !== 'job.lost') find('lost', `it must complete, or be lost, and is ${state}${why}`);
      break;
    case 'completes or is cancelled':
      if (isCancelled ? state !== 'cancelled' : state !== 'completed' && state !== 'cancelled')
        find('lost', `it must be ${isCancelled ? '' : 'completed or '}cancelled and is ${state}${why}`);
      break;
  }
  if (state === 'completed' && plan.leaves !== undefined && leaves.length !== plan.leaves)
    find(leaves.length > plan.leaves ? 'duplicated' : 'lost', `it has ${leaves.length} parts and must have ${plan.leaves}`);
  if (state === 'completed')
    for (const leaf of leaves)
      if (leaf.state !== 'completed') find('false success', `it is completed, and its part ${leaf.id} is ${leaf.state}`);
  const totals = (root.result as unknown as TestReport | null)?.totals;
  if (plan.totals && totals)
    for (const name of ['units', 'passed', 'failed'] as const)
      if (totals[name] !== plan.totals[name])
        find(
          totals[name] > plan.totals[name] ? 'duplicated' : 'lost',
          `its report has ${totals[name]} ${name} and must have ${plan.totals[name]}`,
        );
}

async function auditLeaf(
  world: World,
  plan: TaskPlan,
  leaf: BookedTask,
  attempts: BookedAttempt[],
  receipts: Receipts,
  find: Find,
): Promise<void> {
  for (const attempt of attempts) await auditAttempt(world, plan, leaf, attempt, receipts, find);
  const begun = attempts.filter(({ id }) => (receipts.effects.get(id)?.begins ?? 0) > 0);
  if (plan.expected === 'completes or is lost' && begun.length > 1)
    find('duplicated', `it must not run twice, and ran as ${begun.map(({ id, number }) => `${id} (number ${number})`).join(' and ')}`);
  if (leaf.state !== 'completed' || leaf.result?.['cached'] === true) return;
  const successes = attempts.filter(
    ({ id, state, exit_code, reason }) =>
      state === 'exited' &&
      reason === null &&
      (exit_code === 0 || leaf.accept_exit === 'any') &&
      receipts.effects.get(id)?.ends === 1 &&
      receipts.effects.get(id)?.exitCode === exit_code,
  );
  if (successes.length === 0) find('false success', `${leaf.id} (${leaf.name}) is completed, and no attempt of it did what it must`);
}

async function auditAttempt(
  world: World,
  plan: TaskPlan,
  leaf: BookedTask,
  attempt: BookedAttempt,
  receipts: Receipts,
  find: Find,
): Promise<void> {
  const { id, state, exit_code: exitCode, reason } = attempt;
  const about = `attempt ${attempt.number} (${id}) of ${leaf.id}`;
  if (!attempt.is_complete) find('lost', `${about} is ${state}, and its output was never stored to the end`);
  const effect = receipts.effects.get(id);
  if (effect && (effect.begins > 1 || effect.ends > 1))
    find('duplicated', `${about} began ${effect.begins} times and ended ${effect.ends} times`);

  const hasRun = state === 'exited' && reason === null;
  if (hasRun) {
    // What could not write may not have been able to say so either.
    const mustSay = exitCode !== CANNOT_WRITE;
    if (mustSay && (effect?.ends !== 1 || effect.exitCode !== exitCode))
      find(
        'false success',
        `${about} has exit status ${exitCode} in the books, and its command ended with ${effect?.exitCode ?? 'nothing'}`,
      );
    if (mustSay && plan.exitCode !== undefined && exitCode !== plan.exitCode)
      find('false success', `${about} has exit status ${exitCode}, which its command cannot have`);
    const recorded = receipts.exits.get(id);
    if (receipts.exits.has(id) ? recorded !== exitCode : mustSay)
      find('false success', `${about} has exit status ${exitCode} in the books, and its supervisor recorded ${recorded ?? 'none'}`);
  }
  for (const stream of ['out', 'err']) {
    const { text, fault } = await readStored(world.database.db, id, stream);
    const isWhole = hasRun && exitCode !== CANNOT_WRITE;
    if (fault) find(fault.endsWith('twice') ? 'duplicated' : 'lost', `${stream} of ${about}: ${fault}`);
    const wrong = wrongWithStream(text, id, isWhole, plan.lines);
    if (wrong && (isWhole || text !== '')) find('lost', `${stream} of ${about} ${wrong}`);
    const from = beganAt(text);
    const meant = from === undefined ? undefined : await countedBefore(world, leaf, attempt);
    if (meant !== undefined && from !== meant)
      find('lost', `${stream} of ${about} goes on from ${from}, and its checkpoint is at ${meant}`);
  }
}

/** What the checkpoint holds that an attempt began at; `undefined` where its files are no longer kept. */
async function countedBefore(world: World, leaf: BookedTask, { restore }: BookedAttempt): Promise<number | undefined> {
  if (!restore) return 0;
  const args = [`--git-dir=${path.join(world.storage, 'repos', `${leaf.project_id}.git`)}`, 'show', `${restore.commit}:counted`];
  return promisify(execFile)('git', args).then(
    ({ stdout }) => Number(stdout),
    (error: { stderr?: string }) => (error.stderr?.includes('does not exist in') ? 0 : undefined),
  );
}

/** What a build left must be what its targets made of each other. */
async function auditArtifact(
  world: World,
  { leaves }: Tree,
  { target, text }: NonNullable<TaskPlan['artifact']>,
  find: Find,
): Promise<void> {
  const task = leaves.find(({ name }) => name === target)?.id ?? '';
  try {
    const answer = await world.ask((client, signal) => client.call('tasks.artifact', { params: { task }, signal }));
    // In the archive a file stands as it is, with zeros after it up to the next block.
    const archive = zstdDecompressSync(await answer.bytes()).toString('latin1');
    if (!archive.includes(`\0${text}\0`)) find('lost', `the outputs of ${target} do not hold ${JSON.stringify(text)}`);
  } catch (error) {
    find('lost', `the outputs of ${target} cannot be had: ${String(error)}`);
  }
}

/** What the API says of trees must be what the books say. */
async function auditAnswers(world: World, books: Books, find: Find): Promise<void> {
  const states = new Map(books.tasks.filter(({ parent_id }) => parent_id === null).map(({ id, state }) => [id, state]));
  for (let cursor: string | undefined; ; ) {
    const page = await world.ask((client, signal) =>
      client.call('tasks.list', { query: { limit: 500, ...(cursor !== undefined && { cursor }) }, signal }),
    );
    for (const { id, state } of page.items) {
      if (states.get(id) !== state) find('broken', `${id} is ${state}, and ${states.get(id) ?? 'not there'} in the books`);
      states.delete(id);
    }
    cursor = page.cursor;
    if (cursor === undefined) break;
  }
  for (const id of states.keys()) find('lost', `${id} is in the books, and in no list of tasks`);
}
