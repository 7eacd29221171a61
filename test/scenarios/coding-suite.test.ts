import type { SuiteEvent, SuiteReportView } from '@helixcode/protocol/api/model-views';
import { CODING_TASKS } from '@helixcode/server/trials/coding-tasks';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { openaiChatWire } from '../../packages/llm/test/wire/openai-chat-wire.ts';
import { SOME_USAGE } from '../../packages/llm/test/wire/wire.ts';
import { GOOD_KEY, GOOD_MODEL, WireServer } from '../../packages/llm/test/wire/wire-server.ts';
import { givenHome, removeServer, type ServerProcess, startServer } from '../support/server-process.ts';
import { workersAreUp } from '../support/wait-for.ts';

const vendor = new WireServer(openaiChatWire);
const MODEL = `live/${GOOD_MODEL}`;
let server: ServerProcess;

beforeAll(async () => {
  await vendor.start();
  const price = { inputUsd: 1, outputUsd: 10 };
  const pool = [{ kind: 'openai-chat', name: 'live', baseUrl: vendor.baseUrl, models: { [GOOD_MODEL]: { price } } }];
  server = await startServer(givenHome(), { HELIX_PROVIDERS_POOL: JSON.stringify(pool), OPENAI_API_KEY: GOOD_KEY });
  await workersAreUp(server.client, 1);
}, 60_000);
afterAll(async () => {
  await removeServer(server);
  await vendor.stop();
}, 60_000);
beforeEach(() => vendor.forget());

type Move = { tool: string; input: Record<string, unknown> };
const write = (path: string, text: string): Move => ({ tool: 'write', input: { path, content: text } });
const read = (path: string): Move => ({ tool: 'read', input: { path } });
const shell = (command: string): Move => ({ tool: 'shell', input: { command } });
const edit = (path: string, old: string, text: string): Move => ({ tool: 'edit', input: { path, old, new: text } });

/** What a programmer would do, a list of calls for each turn, by the name of the task. */
const SOLUTIONS: Record<string, Move[][]> = {
  'mend a bug by its description': [
    [read('src/invoice.js')],
    [
      edit(
        'src/invoice.js',
        'return lines.reduce((total, { unitCents, quantity }) => total + roundCents(unitCents * quantity * (1 - discountPercent / 100)), 0);',
        'const sum = lines.reduce((total, { unitCents, quantity }) => total + unitCents * quantity, 0);\n  return roundCents(sum * (1 - discountPercent / 100));',
      ),
    ],
  ],
  'mend a bug by a failing test': [
    [shell('node test/range.test.js')],
    [
      edit('src/range.js', 'ranges.sort()', '[...ranges].sort((a, b) => a[0] - b[0])'),
      edit('src/range.js', 'from <= last[1]) last[1] = to', 'from <= last[1] + 1) last[1] = Math.max(last[1], to)'),
    ],
    [shell('node test/range.test.js && echo "it passes"')],
  ],
  'write a module by its specification': [
    [
      write(
        'src/duration.js',
        `const UNITS = { d: 86400000, h: 3600000, m: 60000, s: 1000, ms: 1 };
export function parseDuration(text) {
  const match = /^\\s*(?:(\\d+)\\s*d)?\\s*(?:(\\d+)\\s*h)?\\s*(?:(\\d+)\\s*m(?!s))?\\s*(?:(\\d+)\\s*s)?\\s*(?:(\\d+)\\s*ms)?\\s*$/.exec(text);
  if (!match || match.slice(1).every((part) => part === undefined)) throw new RangeError(\`"\${text}" is no duration\`);
  return Object.values(UNITS).reduce((sum, ms, index) => sum + ms * Number(match[index + 1] ?? 0), 0);
}
export function formatDuration(ms) {
  if (!Number.isInteger(ms) || ms < 0) throw new RangeError(\`\${ms} is no duration\`);
  let left = ms;
  let text = '';
  for (const [unit, size] of Object.entries(UNITS)) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count > 0) text += count + unit;
  }
  return text || '0ms';
}
`,
      ),
    ],
  ],
  'change a name everywhere': [
    [shell("for f in users greet audit/log; do sed 's/getUser/findUser/g' src/$f.js > next && mv next src/$f.js; done")],
    [edit('src/index.js', 'export { getUser, userNames }', 'export { findUser, findUser as getUser, userNames }')],
  ],
  'make slow code fast': [
    [read('src/pairs.js')],
    [
      write(
        'src/pairs.js',
        `export function countPairs(numbers, sum) {
  const seen = new Map();
  let count = 0;
  for (const number of numbers) {
    count += seen.get(sum - number) ?? 0;
    seen.set(number, (seen.get(number) ?? 0) + 1);
  }
  return count;
}
`,
      ),
    ],
  ],
  'add an option without breaking callers': [
    [read('src/table.js')],
    [
      write(
        'src/table.js',
        `export function table(rows, { header, align = [] } = {}) {
  const widths = [];
  for (const row of header ? [header, ...rows] : rows)
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, String(cell).length);
  const line = (row) =>
    row
      .map((cell, column) => (align[column] === 'right' ? String(cell).padStart(widths[column]) : String(cell).padEnd(widths[column])))
      .join('  ')
      .trimEnd();
  const head = header ? [line(header), widths.map((width) => '-'.repeat(width)).join('  ')] : [];
  return [...head, ...rows.map(line)].join('\\n');
}
`,
      ),
    ],
  ],
};

/** @param movesOf the turns of one task before its last words */
function answerAll(movesOf: (task: string) => Move[][]): void {
  let calls = 0;
  for (const { name } of CODING_TASKS) {
    for (const turn of movesOf(name))
      vendor.next({ say: { calls: turn.map((move) => ({ id: `call_${++calls}`, ...move })), usage: SOME_USAGE } });
    vendor.next({ say: { text: 'Done.', usage: SOME_USAGE } });
  }
}

async function runSuite(): Promise<SuiteReportView> {
  const response = await server.client.call('models.suite', { body: { suite: 'coding', models: [MODEL], gates: { minPass: 0.5 } } });
  const events = (await response.text()).split('\n').filter((line) => line.startsWith('data: '));
  const last = JSON.parse(events.at(-1)?.slice('data: '.length) ?? '{}') as SuiteEvent;
  if (!('report' in last)) throw new Error(`no report: ${JSON.stringify(last)}`);
  return last.report;
}

test('a model that programs well passes the hidden tests; its commands and the tests ran as tasks on a worker [L6]', async () => {
  answerAll((task) => SOLUTIONS[task] ?? []);

  const report = await runSuite();

  const [model] = report.models;
  expect(model?.items.map(({ name, problem }) => `${name}: ${problem ?? 'passed'}`)).toEqual(
    CODING_TASKS.map(({ name }) => `${name}: passed`),
  );
  expect(model).toMatchObject({ passed: 6, toolCalls: { made: 13, wellFormed: 13 }, missed: [] });
  expect(vendor.asked.flatMap(({ results }) => results)).toEqual(
    expect.arrayContaining([
      expect.stringMatching(/\[exit code 1\][\s\S]*AssertionError[\s\S]*\/workspace\/test\/range\.test\.js/),
      expect.stringContaining('it passes'),
    ]),
  );
  const { items } = await server.client.call('tasks.list', { query: { limit: 100 } });
  const ours = items.filter(({ name }) => name.startsWith('model suite: '));
  expect(ours).toHaveLength(6 + 3);
  expect(ours.every(({ kind, state }) => kind === 'shell' && state === 'completed')).toBe(true);
  const { items: usage } = await server.client.call('usage.get', { query: { by: 'run' } });
  expect(usage).toEqual([expect.objectContaining({ key: report.run, calls: model?.calls })]);
}, 120_000);

test('what does not do the work is not passed: nothing done, an end before the tests, malformed calls [L6]', async () => {
  const [lazy, cheating, clumsy] = CODING_TASKS.map(({ name }) => name);
  answerAll((task) => {
    if (task === cheating)
      return [[read('src/range.js')], [write('src/range.js', 'process.exit(0);\nexport const joinRanges = () => [];\n')]];
    if (task === clumsy)
      return [
        [
          { tool: 'write', input: { file: 'src/duration.js' } },
          { tool: 'run_tests', input: {} },
        ],
      ];
    return [];
  });

  const [model] = (await runSuite()).models;

  expect(model).toMatchObject({ passed: 0, toolCalls: { made: 4, wellFormed: 2 }, missed: [{ gate: 'minPass', value: 0 }] });
  const problemOf = (task: string | undefined): string | undefined => model?.items.find(({ name }) => name === task)?.problem;
  expect(problemOf(lazy)).toMatch(/hidden tests fail: AssertionError/);
  expect(problemOf(cheating)).toMatch(/did not come to their end/);
  expect(problemOf(clumsy)).toMatch(/duration\.js/);
}, 120_000);
