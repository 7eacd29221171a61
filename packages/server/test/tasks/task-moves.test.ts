import { newId, type TaskId } from '@helixcode/protocol/ids';
import { taskPolicy } from '@helixcode/protocol/task/task-spec';
import { isSettled, TASK_MOVES, TASK_STATES, type TaskCommand, type TaskState } from '@helixcode/protocol/task/task-state';
import { insertTasks, moveTask } from '@helixcode/server/tasks/task-sql';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { givenDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await givenDatabase();
});
afterAll(() => database.drop());

const COMMANDS = [...new Set(TASK_STATES.flatMap((state) => Object.keys(TASK_MOVES[state])))] as TaskCommand[];
const failure = { code: 'job.lost', message: 'lost' } as const;

async function givenTaskIn(state: TaskState): Promise<TaskId> {
  const id = newId('task');
  await insertTasks(database.db, [
    {
      id,
      root: id,
      kind: 'shell',
      name: 'work',
      isLeaf: true,
      spec: {},
      state: state === 'failed' ? 'running' : state,
      priority: 0,
      requires: [],
      policy: { ...taskPolicy.parse({}), acceptExit: 'zero' },
    },
  ]);
  if (state === 'failed') await moveTask(database.db, id, 'fail', 'failed', { failure });
  return id;
}

for (const from of TASK_STATES)
  for (const command of COMMANDS) {
    const to = TASK_MOVES[from][command];
    if (to === undefined)
      test(`${command} is refused to a ${from} task, and changes nothing`, async () => {
        const id = await givenTaskIn(from);
        const anywhere = TASK_STATES.flatMap((state) => TASK_MOVES[state][command] ?? [])[0] ?? 'pending';
        expect(await moveTask(database.db, id, command, anywhere, { failure })).toBeUndefined();
        const { rows } = await database.db.query<{ state: TaskState }>('select state from distributed_tasks where id = $1', [id]);
        expect(rows).toEqual([{ state: from }]);
      });
    else
      test(`${command} takes a ${from} task to ${to}`, async () => {
        const row = await moveTask(database.db, await givenTaskIn(from), command, to, to === 'failed' ? { failure } : {});
        expect(row).toMatchObject({ state: to, finished_at: isSettled(to) ? expect.any(Date) : null });
      });
  }
