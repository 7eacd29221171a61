import type { ErrorFact } from '@helixcode/protocol/errors';
import type { AttemptId, TaskId, WorkerId } from '@helixcode/protocol/ids';
import { type AttemptState, isOver } from '@helixcode/protocol/task/attempt-state';
import { isSettled, TASK_MOVES, type TaskCommand, type TaskState } from '@helixcode/protocol/task/task-state';
import type { Db } from '@helixcode/server/db/db';
import type { LeafPolicy, Progress, TaskPause } from '@helixcode/server/tasks/task-row';

interface SeenTask {
  id: TaskId;
  root_id: TaskId;
  parent_id: TaskId | null;
  key: string | null;
  kind: 'shell' | 'build';
  name: string;
  is_leaf: boolean;
  is_ready: boolean;
  spec: { needs?: string[]; each?: string[] };
  job: { workspace?: object } | null;
  state: TaskState;
  policy: LeafPolicy;
  attempts: number;
  progress: Progress | null;
  result: { attempt?: AttemptId; exitCode?: number; cached?: boolean } | null;
  failure: ErrorFact | null;
  pause: TaskPause | null;
  finished_at: string | null;
}

interface SeenAttempt {
  id: AttemptId;
  task_id: TaskId;
  number: number;
  worker_id: WorkerId;
  state: AttemptState;
  exit_code: number | null;
  fenced: ErrorFact | null;
  is_complete: boolean;
  cancel_asked: boolean;
  pause_asked: boolean;
  pause_waived: boolean;
}

interface SeenMove {
  task_id: TaskId;
  body: { type: 'task.created'; state: TaskState } | { type: 'task.moved'; from: TaskState; to: TaskState; command: TaskCommand };
}

/** All that is on the books of tasks at one moment. */
export interface Books {
  tasks: SeenTask[];
  attempts: SeenAttempt[];
  moves: SeenMove[];
}

export async function readBooks(db: Db): Promise<Books> {
  // One statement: three would be three moments.
  const { rows } = await db.query<{ books: Books }>(
    `select jsonb_build_object(
       'tasks', coalesce((select jsonb_agg(to_jsonb(t) || jsonb_build_object('is_ready', t.not_before <= now()) order by t.created_at, t.id)
                            from distributed_tasks t), '[]'),
       'attempts', coalesce((select jsonb_agg(to_jsonb(a) order by a.task_id, a.number) from task_attempts a), '[]'),
       'moves', coalesce((select jsonb_agg(jsonb_build_object('task_id', e.task_id, 'body', e.body) order by e.seq) from events e
                           where e.body->>'type' in ('task.created', 'task.moved')), '[]')) as books`,
  );
  const [row] = rows;
  if (!row) throw new Error('the books cannot be read');
  return row.books;
}

/** What must be so at every moment, crash or not. @returns a sentence for each thing that is not */
export function faultsIn({ tasks, attempts, moves }: Books): string[] {
  const faults: string[] = [];
  const attemptsOf = Map.groupBy(attempts, (attempt) => attempt.task_id);
  const movesOf = Map.groupBy(moves, (move) => move.task_id);
  for (const task of tasks) {
    const fault = (what: string): void => void faults.push(`${task.name} (${task.state}): ${what}`);
    replay(task, movesOf.get(task.id) ?? [], fault);
    if ((task.finished_at !== null) !== isSettled(task.state)) fault(`its end is ${task.finished_at}`);
    if (task.is_leaf) checkLeaf(task, attemptsOf.get(task.id) ?? [], fault);
    else
      checkParent(
        task,
        tasks.filter((child) => child.parent_id === task.id),
        fault,
      );
  }
  return faults;
}

/** Its events, one after the other, are moves of the table and lead to where it is; once completed it moves no more. */
function replay(task: SeenTask, moves: SeenMove[], fault: (what: string) => void): void {
  const [first, ...rest] = moves;
  if (first?.body.type !== 'task.created') return fault('it was never created');
  let { state } = first.body;
  for (const { body } of rest) {
    if (body.type === 'task.created') fault('it was created twice');
    else {
      if (body.from !== state) fault(`${body.from} --${body.command}--> ${body.to} was told while it was ${state}`);
      if (TASK_MOVES[body.from][body.command] !== body.to) fault(`${body.from} --${body.command}--> ${body.to} is no move of the table`);
      state = body.to;
    }
  }
  if (state !== task.state) fault(`its events lead to ${state}`);
}

function checkLeaf(leaf: SeenTask, attempts: SeenAttempt[], fault: (what: string) => void): void {
  attempts.forEach((attempt, index) => {
    if (attempt.number !== index + 1) fault(`attempt ${index + 1} has the number ${attempt.number}`);
    if (attempt.is_complete && !isOver(attempt.state)) fault(`attempt ${attempt.number} is complete and ${attempt.state}`);
  });
  if (leaf.attempts !== attempts.length) fault(`${leaf.attempts} attempts are counted, ${attempts.length} there are`);
  const counting = attempts.filter((attempt) => !attempt.is_complete && !attempt.fenced);
  const mayRace = leaf.policy.reconcile === 'first_done';
  if (!isSettled(leaf.state) && counting.length > (mayRace ? 2 : 1)) fault(`${counting.length} attempts count`);
  if ((leaf.state === 'pending' || leaf.state === 'blocked' || leaf.state === 'paused') && counting.length > 0)
    fault(`attempt ${counting[0]?.number} counts, and another one will begin`);
  if (leaf.state === 'running' && counting.length === 0) fault('no attempt counts');

  if (leaf.state === 'completed' && !leaf.result?.cached) {
    const own = attempts.find((attempt) => attempt.id === leaf.result?.attempt);
    if (leaf.kind === 'shell' && !own) fault('its result is of no attempt');
    const good = own ?? attempts.find((attempt) => attempt.state === 'exited' && attempt.exit_code === 0);
    if (leaf.kind === 'shell' && (good?.state !== 'exited' || good.exit_code !== 0 || !good.is_complete || good.fenced))
      fault(`the attempt that counts is ${JSON.stringify(good)}`);
  }
}

function checkParent(parent: SeenTask, children: SeenTask[], fault: (what: string) => void): void {
  if (!isSettled(parent.state)) return;
  const open = children.find((child) => !isSettled(child.state));
  if (open) fault(`it is over, ${open.name} is ${open.state}`);
  if (parent.state === 'completed' && children.some((child) => child.state !== 'completed')) fault('it is completed, a part of it is not');
  // One that was cancelled or gave up tells how far it had come.
  const wasDriven = parent.state === 'completed' || parent.failure?.code === 'task.subtask_failed';
  if (wasDriven && (parent.progress?.done !== children.length || parent.progress.total !== children.length))
    fault(`its progress is ${JSON.stringify(parent.progress)}, its children are ${children.length}`);
}

/** What the server has still to do by itself, with workers that are silent for so long. */
export function workDue({ tasks, attempts }: Books, silent: ReadonlyMap<WorkerId, number>, slots: number, lostAfterMs: number): string[] {
  const due: string[] = [];
  const taskById = new Map(tasks.map((task) => [task.id, task]));
  const silentMs = (worker: WorkerId): number => silent.get(worker) ?? 0;
  const taken = (worker: WorkerId): number =>
    attempts.filter((attempt) => attempt.worker_id === worker && !attempt.is_complete && !isOver(attempt.state)).length;
  const hasRoom = [...silent.keys()].some((worker) => silentMs(worker) === 0 && taken(worker) < slots);
  const waitsFor = new Map<TaskId, SeenAttempt>();

  for (const attempt of attempts) {
    const task = taskById.get(attempt.task_id);
    const counts = !attempt.is_complete && !attempt.fenced && (!attempt.cancel_asked || attempt.pause_asked);
    const ms = silentMs(attempt.worker_id);
    if (!task || !counts || ms === 0 || task.state !== 'running') continue;
    const { critical, graceMs, replace } = task.policy;
    const limitMs = critical ? graceMs : replace ? (task.policy.lostAfterMs ?? lostAfterMs) : undefined;
    if (limitMs !== undefined && ms >= limitMs) due.push(`${task.name} should go on without its worker`);
    else if (critical && !attempt.pause_waived) waitsFor.set(task.root_id, attempt);
  }
  for (const task of tasks) {
    const isWaiting = waitsFor.has(task.root_id);
    if (task.state === 'paused' && !isWaiting) due.push(`${task.name} should go on`);
    if (isWaiting && (task.state === 'pending' || (task.id === task.root_id && !task.is_leaf && task.state === 'running')))
      due.push(`${task.name} should be paused`);
    if (isWaiting) continue;
    if (task.is_leaf && task.state === 'pending' && (!task.is_ready || hasRoom)) due.push(`${task.name} should begin`);
    if (task.is_leaf || (task.state !== 'pending' && task.state !== 'running')) continue;
    const children = tasks.filter((child) => child.parent_id === task.id);
    const stateOf = (key: string): TaskState | undefined => children.find((child) => child.key === key)?.state;
    const isReleased = (child: SeenTask): boolean =>
      child.state === 'blocked' &&
      ((child.spec.needs ?? []).every((need) => stateOf(need) === 'completed') ||
        (child.spec.needs ?? []).some((need) => ['failed', 'cancelled'].includes(stateOf(need) ?? '')));
    if (task.state === 'pending' || children.every((child) => isSettled(child.state)) || children.some(isReleased))
      due.push(`${task.name} should be driven on`);
  }
  return due;
}
