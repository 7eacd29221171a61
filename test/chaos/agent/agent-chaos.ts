import { execFile } from 'node:child_process';
import { appendFileSync, globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { CodedError } from '@helixcode/protocol/errors';
import { type EntryRow, listWay } from '@helixcode/server/agents/session-sql';
import { isUnanswered } from '../ask-servers.ts';
import { givenChance } from '../chance.ts';
import type { Finding } from '../findings.ts';
import { planStrike, type StrikePlan, type Struck, strike } from './agent-strikes.ts';
import { type AgentWorld, type Answer, givenAgentWorld } from './agent-world.ts';
import { type ScriptedWork, scriptedWork, VERIFY } from './scripted-work.ts';

/** So many are under way together: one that is struck is never alone. */
const RUNS_AT_ONCE = 4;
const ENDS_WITHIN_MS = 150_000;
const LOOK_EVERY_MS = 100;

export interface AgentChaosOptions {
  runs: number;
  seed: string;
  isKept: boolean;
  say(sentence: string): void;
}

/** A run, as the model and the books saw it. */
interface Run {
  name: string;
  work: ScriptedWork;
  plan: StrikePlan;
  session: string;
  task: string;
  begunAtMs: number;
  /** Milliseconds since the epoch; `undefined`: it came to no end. */
  endedAtMs: number | undefined;
  state: string;
  answers: Answer[];
}

export interface AgentChaosResult {
  ok: boolean;
  folder: string;
  runs: number;
  struck: Struck[];
  lost: number;
  duplicated: number;
  falseSuccesses: number;
  turnsLost: number;
  /** Answers that were in flight when what needed them was killed, and were asked for again. */
  askedAgain: number;
  filesLost: number;
  unknownCalls: number;
  /** From a kill to the next sign of a run that it met. */
  recovery: { kind: Struck['kind']; ms: number }[];
  findings: Finding[];
}

/** Lets agents do their work while what they need is killed, and holds the books and the files against the script. */
export async function runAgentChaos(options: AgentChaosOptions, cleanUp: AsyncDisposableStack): Promise<AgentChaosResult> {
  const world = await givenAgentWorld(cleanUp);
  try {
    const result = await runIn(world, options);
    if (!result.ok || options.isKept) world.keep();
    return result;
  } catch (error) {
    // What fails after an interrupt fails because of it.
    if (!cleanUp.disposed) world.keep();
    throw error;
  }
}

async function runIn(world: AgentWorld, { runs: count, seed, say }: AgentChaosOptions): Promise<AgentChaosResult> {
  say(`${count} agents on ${world.workers.length} workers; everything lies in ${world.folder}`);
  const chance = givenChance(`${seed}/agents`);
  const works = Array.from({ length: count }, (_, n) => scriptedWork(`run-${n + 1}`, world.counter));
  const plans = works.map(({ turns }) => planStrike(chance, turns));
  const struck: Struck[] = [];
  const findings: Finding[] = [];
  const mending: Promise<unknown>[] = [];
  /** A server that is down cannot be killed: those kills come one after the other. */
  let serverIsUp: Promise<unknown> = Promise.resolve();
  const strikeAt = async (plan: StrikePlan, run: Parameters<typeof strike>[2]): Promise<void> => {
    const fail = (error: unknown): void => void findings.push({ kind: 'broken', where: plan.kind, what: String(error) });
    const act = async (): Promise<void> => {
      const hit = await strike(world, plan, run);
      if (!hit) return;
      const { atMs } = hit.struck;
      struck.push(hit.struck);
      appendFileSync(path.join(world.folder, 'faults.jsonl'), `${JSON.stringify({ ...hit.struck, at: new Date(atMs), task: run.task })}\n`);
      const mended = hit.mended.catch(fail);
      mending.push(mended);
      if (plan.kind === 'server killed') await mended;
    };
    if (plan.kind !== 'server killed') return act().catch(fail);
    serverIsUp = serverIsUp.then(act).catch(fail);
    await serverIsUp;
  };

  const done: Run[] = [];
  let next = 0;
  await Promise.all(
    Array.from({ length: Math.min(RUNS_AT_ONCE, count) }, async () => {
      for (let n = next++; n < count; n = next++) {
        const [work, plan] = [works[n], plans[n]];
        if (!work || !plan) return;
        done.push(await runOne(world, `run-${n + 1}`, work, plan, strikeAt));
        if (done.length % 10 === 0) say(`${done.length} of ${count} are over after ${struck.length} kills`);
      }
    }),
  );
  await serverIsUp;
  await Promise.all(mending);

  const marks = countLines(readFileSync(world.counter, 'utf8'));
  const figures = { turnsLost: 0, askedAgain: 0, filesLost: 0, unknownCalls: 0, duplicated: 0, falseSuccesses: 0, lost: 0 };
  const recovery: AgentChaosResult['recovery'] = [];
  for (const run of done) {
    const audited = await audit(world, run, struck, marks);
    findings.push(...audited.findings);
    recovery.push(...audited.recovery);
    for (const key of Object.keys(figures) as (keyof typeof figures)[]) figures[key] += audited[key];
  }
  for (const finding of findings) appendFileSync(path.join(world.folder, 'findings.jsonl'), `${JSON.stringify(finding)}\n`);
  return { ok: findings.length === 0, folder: world.folder, runs: count, struck, ...figures, recovery, findings };
}

/** From the start of a run to its end, or until it has taken too long. */
async function runOne(
  world: AgentWorld,
  name: string,
  work: ScriptedWork,
  plan: StrikePlan,
  strikeAt: (plan: StrikePlan, run: { task: string; isOver(): boolean }) => Promise<unknown>,
): Promise<Run> {
  const answers: Answer[] = [];
  const started = Promise.withResolvers<string>();
  let isOver = false;
  let isAimed = false;
  world.tell(work, (answer) => {
    answers.push(answer);
    if (isAimed || answer.request.messages.filter(({ role }) => role === 'assistant').length < plan.turn) return;
    isAimed = true;
    void started.promise.then(async (task) => {
      await sleep(plan.afterMs);
      await strikeAt(plan, { task, isOver: () => isOver });
    });
  });
  const begunAtMs = Date.now();
  const { id, task } = await startSession(world, name, work.goal);
  started.resolve(task);
  let state = 'running';
  const deadlineMs = performance.now() + ENDS_WITHIN_MS;
  while (!['completed', 'failed', 'cancelled'].includes(state) && performance.now() < deadlineMs) {
    await sleep(LOOK_EVERY_MS);
    const { rows } = await world.database.db.query<{ state: string }>('select state from distributed_tasks where id = $1', [task]);
    state = rows[0]?.state ?? 'gone';
  }
  isOver = true;
  const endedAtMs = ['completed', 'failed', 'cancelled'].includes(state) ? Date.now() : undefined;
  return { name, work, plan, session: id, task, begunAtMs, endedAtMs, state, answers };
}

/** Where nobody answered whether it was begun, it is looked for. */
async function startSession(world: AgentWorld, title: string, goal: string): Promise<{ id: string; task: string }> {
  for (;;) {
    try {
      return await world.askOnce((client, signal) =>
        client.call('sessions.start', { body: { ...world.code, goal, title, verify: [VERIFY], setup: null }, signal }),
      );
    } catch (error) {
      if (!isUnanswered(error) && !(error instanceof CodedError && error.code === 'server.draining')) throw error;
    }
    const { items } = await world.ask((client, signal) => client.call('sessions.list', { query: { limit: 20 }, signal }));
    const begun = items.find((session) => session.title === title);
    if (begun) return begun;
  }
}

type Audited = { findings: Finding[]; recovery: AgentChaosResult['recovery'] } & Pick<
  AgentChaosResult,
  'turnsLost' | 'askedAgain' | 'filesLost' | 'unknownCalls' | 'duplicated' | 'falseSuccesses' | 'lost'
>;

async function audit(world: AgentWorld, run: Run, struck: readonly Struck[], marks: ReadonlyMap<string, number>): Promise<Audited> {
  const audited: Audited = {
    findings: [],
    recovery: [],
    turnsLost: 0,
    askedAgain: 0,
    filesLost: 0,
    unknownCalls: 0,
    duplicated: 0,
    falseSuccesses: 0,
    lost: 0,
  };
  const find = (kind: Finding['kind'], what: string): void => {
    audited.findings.push({ kind, where: `${run.name} (${run.session}, ${run.plan.kind} at turn ${run.plan.turn})`, what });
  };
  const { db } = world.database;
  const { rows } = await db.query<{ head: number; failure: unknown; result: { commit?: string; proof?: string } | null }>(
    'select s.head, t.failure, t.result from sessions s join distributed_tasks t on t.id = s.task_id where s.id = $1',
    [run.session],
  );
  const [row] = rows;
  if (!row) {
    audited.lost++;
    find('lost', 'the books do not have it');
    return audited;
  }
  const way = await listWay(db, row.head);
  const met = await strikesThatMet(world, run, struck);
  audited.recovery.push(...recoveryOf(run, way, met));
  if (run.state !== 'completed') {
    audited.lost++;
    const last = way.at(-1);
    find(
      'lost',
      `it is ${run.state} ${JSON.stringify(row.failure)}; its last entry is ${last?.type} ${JSON.stringify(last?.outcome).slice(0, 300)}`,
    );
  } else if (row.result?.proof !== 'verified') {
    audited.falseSuccesses++;
    find('false success', `it is done with the proof ${row.result?.proof}`);
  }

  const said = way.flatMap(({ outcome }) => (outcome.type === 'model_answered' ? [JSON.stringify(outcome.answer.message)] : []));
  const missing = run.answers.filter(({ note }) => !said.some((text) => text.includes(note)));
  audited.askedAgain += missing.length;
  // An answer that was on its way when somebody who needed it was killed may be asked for again.
  const lostTurns = Math.max(0, missing.length - met.length);
  audited.turnsLost += lostTurns;
  if (lostTurns > 0) find('lost', `${missing.length} answers are not in the conversation, after ${met.length} kills`);

  const ends = way.flatMap(({ outcome }) => (outcome.type === 'tool_finished' ? [outcome] : []));
  audited.unknownCalls += way.filter(({ type }) => type === 'tool_unknown').length;
  for (const mark of run.work.marks) {
    const times = marks.get(mark) ?? 0;
    if (times > 1) {
      audited.duplicated += times - 1;
      find('duplicated', `the command ${mark} took effect ${times} times`);
    }
    if (times === 0 && run.state === 'completed') {
      audited.falseSuccesses++;
      find('false success', `the command ${mark} had no effect, and ${ends.length} calls are said to have ended`);
    }
  }
  if (run.state === 'completed') {
    const wrong = await wrongFiles(world, run.work, row.result?.commit);
    audited.filesLost += wrong.length;
    if (wrong.length > 0) find('lost', `files are not as they must be: ${wrong.join(', ')}`);
  }
  return audited;
}

/** The kills of the server, and of the workers that its files were on, while a run was under way. */
async function strikesThatMet({ database: { db } }: AgentWorld, run: Run, struck: readonly Struck[]): Promise<Struck[]> {
  const { rows } = await db.query<{ worker_id: string }>(
    'select distinct a.worker_id from distributed_tasks t join task_attempts a on a.task_id = t.id where t.parent_id = $1',
    [run.task],
  );
  const workers = new Set(rows.map(({ worker_id }) => worker_id));
  return struck.filter(
    ({ atMs, worker }) =>
      atMs >= run.begunAtMs && atMs <= (run.endedAtMs ?? Number.POSITIVE_INFINITY) && (worker === undefined || workers.has(worker)),
  );
}

/** From each kill to the next request of the model or the next entry, whichever came first. */
function recoveryOf(run: Run, way: readonly EntryRow[], met: readonly Struck[]): AgentChaosResult['recovery'] {
  const signsMs = [...run.answers.map(({ askedAtMs }) => askedAtMs), ...way.map(({ at }) => at.getTime())].sort((a, b) => a - b);
  return met.flatMap(({ kind, atMs }) => {
    const sign = signsMs.find((ms) => ms > atMs) ?? run.endedAtMs;
    return sign === undefined ? [] : [{ kind, ms: sign - atMs }];
  });
}

/** Paths whose content in the commit that the run gave is not what its script leads to. */
async function wrongFiles({ server, code }: AgentWorld, work: ScriptedWork, commit: string | undefined): Promise<string[]> {
  if (commit === undefined) return ['(no commit)'];
  const [mirror] = globSync(`**/${code.project}.git`, { cwd: server.home });
  if (mirror === undefined) throw new Error(`there is no mirror of ${code.project} in ${server.home}`);
  const git = async (...args: string[]): Promise<string> =>
    (await promisify(execFile)('git', [`--git-dir=${path.join(server.home, mirror)}`, ...args], { maxBuffer: 2 ** 26 })).stdout;
  const there = (await git('ls-tree', '-r', '-z', '--name-only', commit)).split('\0').filter((name) => name !== '');
  const names = new Set([...there, ...Object.keys(work.files)]);
  const wrong: string[] = [];
  for (const name of names) {
    const text = there.includes(name) ? await git('show', `${commit}:${name}`) : undefined;
    if (text === work.files[name]) continue;
    wrong.push(
      `${name} ${text === undefined ? 'is not there' : work.files[name] === undefined ? 'should not be there' : `is ${JSON.stringify(text.slice(0, 80))}`}`,
    );
  }
  return wrong;
}

function countLines(text: string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const line of text.split('\n')) counts.set(line, (counts.get(line) ?? 0) + 1);
  return counts;
}
