import type { ApprovalView, SessionEntryView, SessionView } from '@helixcode/protocol/api/session-views';
import { describe, expect, test } from 'vitest';
import { createStyle } from '../src/output/style.ts';
import { answeringCommand, approvalLines } from '../src/sessions/approval-lines.ts';
import { callLine } from '../src/sessions/call-line.ts';
import { createEntryReader } from '../src/sessions/entry-lines.ts';
import { planLines } from '../src/sessions/plan-lines.ts';
import { exitStatusOf } from '../src/sessions/report-end.ts';
import { statusLine } from '../src/sessions/session-screen.ts';

const style = createStyle({ color: false, unicode: true });
const startMs = Date.parse('2030-01-01T00:00:00Z');

let lastId = 0;
function entryOf(type: SessionEntryView['type'], more: Partial<SessionEntryView> = {}, afterMs = 0): SessionEntryView {
  return { id: ++lastId, at: new Date(startMs + afterMs).toISOString(), type, ...more };
}

const answered = (calls: [tool: string, input: unknown][], more: Partial<SessionEntryView> = {}): SessionEntryView =>
  entryOf('model_answered', { calls: calls.map(([tool, input], index) => ({ callId: `c${index + 1}`, tool, input })), ...more });

/** An answer with one call, and its end. */
const called = (tool: string, input: unknown, text: string, isError = false, ms = 1_200): SessionEntryView[] => [
  answered([[tool, input]]),
  entryOf('tools_started', {}),
  entryOf('tool_finished', { callId: 'c1', tool, text, isError }, ms),
];

const read = (...entries: SessionEntryView[]): string[] => {
  const reader = createEntryReader(style);
  return entries.flatMap((entry) => reader.read(entry));
};

describe('a call is one line, which says what matters of its end', () => {
  test.each<[SessionEntryView[], string[]]>([
    [called('read', { path: 'src/a.ts' }, '[src/a.ts, lines 1-3 of 3]\na\nb\nc'), ['  read src/a.ts']],
    [called('read', { path: 'b' }, 'there is no file b', true), ['  read b → there is no file b']],
    [called('list', {}, 'src/'), ['  list .']],
    [called('search', { pattern: 'a|b', path: 'src', glob: '*.ts' }, 'no line matches'), ['  search "a|b" in src (*.ts)']],
    [called('edit', { path: 'src/a.ts', old: 'x', new: 'y' }, 'edited src/a.ts, line 1 (exact match)'), ['  edit src/a.ts']],
    [
      called('edit', { path: 'src/a.ts', old: 'x', new: 'y' }, 'src/a.ts was not changed: old is in it 2 times\n1: x', true),
      ['  edit src/a.ts → src/a.ts was not changed: old is in it 2 times'],
    ],
    [
      called('apply_patch', { patch: '*** Begin Patch\n*** Update File: a.ts\n@@\n*** Add File: b.ts\n+x\n*** End Patch' }, 'made b.ts'),
      ['  apply_patch a.ts, b.ts'],
    ],
    [called('shell', { command: 'npm test' }, '[exit code 1]\nFAIL', true), ['  shell npm test → exit 1 (1.2 s)']],
    [
      called('shell', { command: 'make\nmake install' }, '[exit code 0]\n(no output)', false, 400),
      ['  shell make make install → exit 0 (400 ms)'],
    ],
    [called('shell', { command: 'cat' }, '[ended by SIGKILL]\n', true), ['  shell cat → ended by SIGKILL (1.2 s)']],
    [
      called('shell', { command: 'cat' }, '[stopped: not over after 120 seconds. It gets no input; more]\n', true, 120_000),
      ['  shell cat → stopped: not over after 120 seconds (2 min 00 s)'],
    ],
    [
      called('run_tests', { patterns: ['src/a'] }, '[vitest: 5 passed, 1 failed]\nFAILED a > b', true),
      ['  run_tests src/a → 5 passed, 1 failed (1.2 s)'],
    ],
    [called('run_tests', {}, '[node: 31 passed, 0 failed]'), ['  run_tests → 31 passed, 0 failed (1.2 s)']],
    [called('ask', { question: 'Which one?' }, 'A person answers: the second'), ['  ask Which one? → the second']],
    [called('plan', { subtasks: [{}, {}] }, 'A person agrees with the plan.'), ['  plan of 2 subtasks → A person agrees with the plan.']],
    [called('spawn', { goal: 'look' }, '[agent ses_1 is done]\nwords'), ['  spawn look → agent ses_1 is done (1.2 s)']],
    [called('some_mcp_tool', { n: 1, name: 'thing' }, 'x'), ['  some_mcp_tool thing']],
    [called('odd', null, ''), ['  odd']],
    [called('write', { path: 'a\u001b[2J\u0007b' }, 'made it'), ['  write a\ufffd[2J\ufffdb']],
  ])('%#', (entries, lines) => {
    expect(read(...entries)).toEqual(lines);
  });
});

describe('every other entry is told in words', () => {
  test.each<[string, SessionEntryView[], string[]]>([
    [
      'what people say',
      [entryOf('began', { text: 'fix it' }), entryOf('person_said', { text: 'and\nthis' })],
      ['> fix it', '> and', '> this'],
    ],
    ['what the model says', [answered([], { text: 'I look.\n\nThen I fix.\n' })], ['I look.', '', 'Then I fix.']],
    ['a replayed answer', [answered([], { text: 'Done.\nReally.', replayed: true })], ['[replayed] Done.', 'Really.']],
    [
      'a replayed answer without words',
      [
        answered(
          [
            ['read', { path: 'a' }],
            ['list', {}],
          ],
          { replayed: true },
        ),
      ],
      ['[replayed] read, list'],
    ],
    [
      'a call whose end nobody knows',
      [
        answered([['shell', { command: './deploy' }]]),
        entryOf('tool_unknown', { callId: 'c1', tool: 'shell', text: 'the worker is gone' }),
      ],
      ['  shell ./deploy → nobody knows what came of it: the worker is gone'],
    ],
    ['a call that was not made', [answered([['edit', { path: 'a' }]]), answered([], { text: 'Well.' })], ['  edit a → not done', 'Well.']],
    ['a checkpoint', [entryOf('tools_started', { checkpoint: { task: 'tsk_1', number: 2 } })], []],
    ['a sum', [entryOf('summed_up')], ['the conversation was summed up, to make room']],
    [
      'a failure of the model',
      [entryOf('model_failed', { failure: { code: 'model.overloaded', message: 'x is busy', next: 'wait' } })],
      ['the model failed: x is busy (model.overloaded)', 'next: wait'],
    ],
    [
      'evidence',
      [
        entryOf('evidence_given', {
          receipts: [
            { id: 'rcp_1', command: 'npm test', exitCode: 0 },
            { id: 'rcp_2', command: 'npm run lint', exitCode: 2 },
          ],
        }),
      ],
      ['  check npm test → exit 0 rcp_1', '  check npm run lint → exit 2 rcp_2'],
    ],
    [
      'a stop',
      [entryOf('parked', { failure: { code: 'budget.spent', message: 'the run has spent $1.00' } }), entryOf('resumed')],
      ['parked: the run has spent $1.00 (budget.spent)', 'it goes on'],
    ],
  ])('%s', (_, entries, lines) => {
    expect(read(...entries)).toEqual(lines);
  });
});

test('several calls of one answer have a line each as they end, and what is being done is known in between', () => {
  const reader = createEntryReader(style);
  reader.read(
    answered(
      [
        ['read', { path: 'a' }],
        ['shell', { command: 'make' }],
      ],
      { text: 'I look.' },
    ),
  );
  reader.read(entryOf('tools_started'));
  expect(reader.doing()).toBe('read a');
  expect(reader.read(entryOf('tool_finished', { callId: 'c1', tool: 'read', text: '[a]' }))).toEqual(['  read a']);
  expect(reader.doing()).toBe('shell make');
  reader.read(entryOf('tool_finished', { callId: 'c2', tool: 'shell', text: '[exit code 0]' }));
  expect(reader.doing()).toBe('thinking');
  reader.read(answered([], { text: 'Done.' }));
  expect(reader.doing()).toBe('checking what it did');
});

test('long texts are cut where that is asked for, and calls are never longer than a line', () => {
  const reader = createEntryReader(style, 2);
  expect(reader.read(answered([], { text: 'a\nb\nc\nd' }))).toEqual(['a', 'b', '… 2 more lines']);
  expect(callLine({ tool: 'shell', input: { command: 'x'.repeat(10_000) } }).length).toBeLessThan(120);
});

const approval = (kind: ApprovalView['kind'], more: Partial<ApprovalView> = {}): ApprovalView => ({
  id: 'apr_1',
  session: 'ses_1',
  task: 'tsk_1',
  kind,
  question: 'May I?',
  options: [],
  askedAt: new Date(startMs).toISOString(),
  ...more,
});

test.each([
  ['question', undefined, 'helix approvals answer apr_1 "…"'],
  ['plan', undefined, 'helix approvals accept apr_1'],
  ['permission', undefined, 'helix approvals accept apr_1'],
  ['parked', 'budget.spent', 'helix approvals accept apr_1 --budget 10'],
  ['parked', 'agent.turns_spent', 'helix approvals accept apr_1 --turns 50'],
  ['parked', 'agent.time_spent', 'helix approvals accept apr_1 --minutes 60'],
  ['parked', 'agent.stuck', 'helix approvals accept apr_1'],
] as const)('the command that answers a %s (%s)', (kind, because, command) => {
  expect(answeringCommand(approval(kind), because)).toBe(command);
});

const plan = {
  summary: 'Split it.',
  subtasks: [
    { id: 'types', title: 'Move the types', kind: 'agent', detail: '', needs: [], files: ['src/a.ts'], minutes: 10, costUsd: 0.2 },
    { id: 'check', title: 'Run all', kind: 'test', detail: '', needs: ['types'], files: [], minutes: 0.5, costUsd: 0 },
  ],
  risks: ['none of the tests covers it'],
};

test('a plan is shown with what each part needs, its time and its cost [M1]', () => {
  expect(approvalLines(approval('plan', { plan, question: 'Is this the plan?' }), style)).toEqual([
    'it shows a plan: Is this the plan?',
    'Split it.',
    '  types  Move the types  agent, 10 min, $0.20',
    '    src/a.ts',
    '  check  Run all  test, after types, 0.5 min, $0',
    'risk: none of the tests covers it',
    '2 subtasks, 10.5 min one after the other, about $0.20',
  ]);
  expect(planLines({ other: 1 }, style)).toEqual(['{', '  "other": 1', '}']);
  expect(approvalLines(approval('question', { options: ['yes', 'no'] }), style)).toEqual(['it asks: May I?', '  1) yes', '  2) no']);
});

test.each<[SessionView['state'], SessionView['failure'], number]>([
  ['done', undefined, 0],
  ['cancelled', undefined, 3],
  ['failed', { code: 'job.lost', message: '' }, 5],
  ['failed', { code: 'model.not_configured', message: '' }, 2],
  ['failed', undefined, 5],
  ['parked', undefined, 8],
])('a session that is %s %j ends the command with %i', (state, failure, status) => {
  expect(exitStatusOf({ state, failure })).toBe(status);
});

test('what is waited for goes before what is done', () => {
  const quiet = { session: undefined, doing: 'thinking', waitingFor: undefined, progress: undefined };
  expect(statusLine(quiet)).toBe('thinking');
  expect(statusLine({ ...quiet, doing: 'run_tests', progress: { phase: 'running', done: 3, total: 40 } })).toBe('run_tests 3/40');
  expect(statusLine({ ...quiet, waitingFor: 'no worker has gpu' })).toBe('waiting: no worker has gpu');
});
