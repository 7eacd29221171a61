import type { TaskDetail, TaskView } from '@helixcode/protocol/api/views';
import type { Event, EventBody } from '@helixcode/protocol/event/events';
import type { TestReport } from '@helixcode/protocol/test/test-result';
import { expect, test } from 'vitest';
import { changeLine } from '../src/follow/change-line.ts';
import { whatIsWaitedFor } from '../src/follow/follow-task.ts';
import { renderTree } from '../src/follow/render-tree.ts';
import { applyEvent, createTaskModel, type TaskModel } from '../src/follow/task-model.ts';
import { renderTestSummary } from '../src/follow/test-summary.ts';
import { createStyle } from '../src/output/style.ts';
import { textWidth } from '../src/output/text-width.ts';

const style = createStyle({ color: false, unicode: true });
const startMs = Date.parse('2030-01-01T00:00:00Z');

function taskView(id: string, more: Partial<TaskView> = {}): TaskView {
  return {
    id,
    root: 'tsk_root',
    kind: 'test',
    name: id,
    state: 'pending',
    priority: 0,
    requires: [],
    createdAt: new Date(startMs).toISOString(),
    ...more,
  };
}

function givenModel(children: number): TaskModel {
  const tree = Array.from({ length: children }, (_, index) =>
    taskView(`tsk_${index + 1}`, { parent: 'tsk_root', name: `shard ${index + 1}` }),
  );
  const detail: TaskDetail = {
    ...taskView('tsk_root', { name: 'test', state: 'running', startedAt: new Date(startMs).toISOString() }),
    spec: {},
    attempts: [],
    tree,
  };
  return createTaskModel(detail, [['wrk_a', 'ada']]);
}

let seq = 0;
function eventOf(task: string, body: EventBody, afterMs = 0): Event {
  return { seq: ++seq, at: new Date(startMs + afterMs).toISOString(), root: 'tsk_root', task, body };
}

const moved = (task: string, from: TaskView['state'], to: TaskView['state'], afterMs = 0): Event =>
  eventOf(task, { type: 'task.moved', from, to, command: 'x' }, afterMs);

test('a tree shows states, workers, times and progress', () => {
  const model = givenModel(3);
  const events = [
    eventOf('tsk_root', { type: 'task.progress', phase: 'running tests', done: 2, total: 8 }),
    moved('tsk_1', 'pending', 'running'),
    eventOf('tsk_1', { type: 'attempt.moved', attempt: 'att_1', number: 1, worker: 'wrk_a', to: 'running' }),
    moved('tsk_1', 'running', 'completed', 2_100),
    moved('tsk_2', 'pending', 'running', 1_000),
    eventOf('tsk_2', { type: 'attempt.moved', attempt: 'att_2', number: 2, worker: 'wrk_b', to: 'preparing' }),
    eventOf('tsk_3', { type: 'task.waiting', reason: 'every slot is taken' }),
  ];
  for (const event of events) applyEvent(model, event);
  expect(renderTree(model, { width: 80, height: 20, nowMs: startMs + 5_000, style })).toEqual([
    '● running  test  ━━━━━╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌  2/8  running tests  5.0 s',
    '  ✔ completed   shard 1  ada  2.1 s',
    '  ● running     shard 2  wrk_b  attempt 2  preparing the checkout  4.0 s',
    '  ○ waiting     shard 3  every slot is taken',
  ]);
});

test('a tree never takes more room than there is, and shows what runs and what failed first', () => {
  const model = givenModel(400);
  for (let index = 1; index <= 300; index++) applyEvent(model, moved(`tsk_${index}`, 'running', 'completed'));
  applyEvent(model, moved('tsk_301', 'pending', 'running'));
  applyEvent(
    model,
    eventOf('tsk_302', {
      type: 'task.moved',
      from: 'running',
      to: 'failed',
      command: 'fail',
      failure: { code: 'job.command_failed', message: 'exit 1' },
    }),
  );
  model.failedTests.push(
    ...Array.from({ length: 30 }, (_, index) => ({ unit: 'a.test.ts', name: `case ${index}`, message: 'expected 1 to be 2' })),
  );
  for (const [width, height] of [
    [80, 10],
    [30, 5],
    [200, 50],
    [10, 1],
    [1, 3],
  ] as const) {
    const lines = renderTree(model, { width, height, nowMs: startMs, style });
    expect(lines.length).toBeLessThanOrEqual(height);
    expect(Math.max(...lines.map(textWidth))).toBeLessThanOrEqual(width);
  }
  const lines = renderTree(model, { width: 80, height: 12, nowMs: startMs, style });
  expect(lines.join('\n')).toContain('● running     shard 301');
  expect(lines.join('\n')).toContain('exit 1');
  expect(lines.join('\n')).toMatch(/… \d+ waiting, 300 completed more|… 300 completed, \d+ waiting more/);
  expect(lines.at(-1)).toBe('  ✘ a.test.ts case 29  expected 1 to be 2');
});

test('events that repeat what is known, or speak of another tree, change nothing', () => {
  const model = givenModel(1);
  expect(applyEvent(model, moved('tsk_1', 'pending', 'running'))).toHaveLength(1);
  expect(applyEvent(model, moved('tsk_1', 'pending', 'running'))).toEqual([]);
  expect(applyEvent(model, { ...moved('tsk_1', 'running', 'failed'), root: 'tsk_other' })).toEqual([]);
  expect(applyEvent(model, moved('tsk_unknown', 'running', 'failed'))).toEqual([]);
  applyEvent(model, eventOf('tsk_1', { type: 'attempt.moved', attempt: 'att_2', number: 2, worker: 'wrk_a', to: 'running' }));
  applyEvent(model, eventOf('tsk_1', { type: 'attempt.moved', attempt: 'att_1', number: 1, worker: 'wrk_z', to: 'lost' }));
  expect(model.nodes.get('tsk_1')).toMatchObject({ worker: 'ada', attempt: { number: 2 } });
});

test('in a pipe each change of a state is a line', () => {
  const model = givenModel(0);
  const lines = [
    eventOf('tsk_9', { type: 'task.created', kind: 'test', name: 'shard\n9', state: 'pending' }),
    moved('tsk_9', 'pending', 'running', 1_000),
    eventOf('tsk_9', { type: 'attempt.moved', attempt: 'att_1', number: 1, worker: 'wrk_a', to: 'running' }),
    eventOf('tsk_root', { type: 'task.progress', phase: 'running tests', done: 3, total: 4 }),
    moved('tsk_9', 'running', 'completed', 3_500),
  ].flatMap((event) => applyEvent(model, event).flatMap((change) => changeLine(change, model) ?? []));
  expect(lines).toEqual(['running: shard 9', 'completed: shard 9 on ada (2.5 s) [3/4]']);
});

test('what is waited for is told only while nothing runs', () => {
  const model = givenModel(2);
  applyEvent(model, eventOf('tsk_2', { type: 'task.waiting', reason: 'no worker has gpu' }));
  expect(whatIsWaitedFor(model)).toBe('waiting: shard 2: no worker has gpu');
  applyEvent(model, moved('tsk_1', 'pending', 'running'));
  expect(whatIsWaitedFor(model)).toBeUndefined();
});

test('the summary of a test run names failures with their place, flaky tests and the numbers', () => {
  const report: TestReport = {
    runner: 'vitest',
    totals: { units: 62, tests: 310, passed: 305, failed: 1, skipped: 3, errors: 1, flaky: 1 },
    failures: [
      {
        unit: 'src/a.test.ts',
        name: 'adds > small numbers',
        message: 'expected 3 to be 4\n  at a.test.ts:7\n1\n2\n3\n4\n5\n6',
        file: 'src/a.test.ts',
        line: 7,
      },
      { unit: 'src/b.test.ts', name: '', message: 'src/b.test.ts did not finish within 300 s and was stopped' },
    ],
    flaky: [{ unit: 'src/c.test.ts', name: 'now and then', message: 'x' }],
    shards: 24,
    serialMs: 61_200,
    wallMs: 9_800,
    utilisation: 0.961,
    slots: 8,
    workers: ['ada', 'bob'],
    lineCoverage: 0.8123,
  };
  expect(renderTestSummary(report, style)).toMatchInlineSnapshot(`
    [
      "✘ adds > small numbers  src/a.test.ts:7",
      "    expected 3 to be 4",
      "      at a.test.ts:7",
      "    1",
      "    2",
      "    3",
      "    4",
      "    … 2 more lines",
      "",
      "✘ src/b.test.ts  src/b.test.ts",
      "    src/b.test.ts did not finish within 300 s and was stopped",
      "",
      "1 flaky test (failed, then passed at the same commit):",
      "  src/c.test.ts  now and then",
      "",
      "✘ 1 failed, 1 file not run to the end, 305 passed, 3 skipped, 1 flaky  (310 tests in 62 files, vitest)",
      "  9.8 s, 6.2 times as fast as one after the other (1 min 01 s)",
      "  24 shards on 8 slots of ada, bob, 96 % busy",
      "  81.2 % of lines covered",
    ]
  `);
});
