/** A small piece of programming: what is there, what is wished, and tests that its author does not see. */
export interface CodingTask {
  name: string;
  goal: string;
  /** Content by path. */
  files: Record<string, string>;
  /** A module that throws where the work is not right; it is put beside the files, as `hidden.test.mjs`. */
  hiddenTest: string;
}

const MODULES = '{ "name": "trial", "private": true, "type": "module" }\n';

export const CODING_TASKS: CodingTask[] = [
  {
    name: 'mend a bug by its description',
    goal: 'invoiceTotal in src/invoice.js is a cent off for some invoices: the discount must be rounded once, on the sum of all lines, half up. Mend it.',
    files: {
      'package.json': MODULES,
      'src/money.js': `/** Rounds half up to whole cents. */
export function roundCents(cents) {
  return Math.floor(cents + 0.5);
}
`,
      'src/invoice.js': `import { roundCents } from './money.js';

/** Total in cents of lines { unitCents, quantity }, with a discount in percent on all of them. */
export function invoiceTotal(lines, discountPercent = 0) {
  return lines.reduce((total, { unitCents, quantity }) => total + roundCents(unitCents * quantity * (1 - discountPercent / 100)), 0);
}
`,
    },
    hiddenTest: `import assert from 'node:assert/strict';
import { invoiceTotal } from './src/invoice.js';
assert.equal(invoiceTotal([]), 0);
assert.equal(invoiceTotal([{ unitCents: 250, quantity: 3 }]), 750);
assert.equal(invoiceTotal([{ unitCents: 15, quantity: 1 }, { unitCents: 15, quantity: 1 }, { unitCents: 15, quantity: 1 }], 10), 41);
assert.equal(invoiceTotal([{ unitCents: 5, quantity: 1 }, { unitCents: 5, quantity: 1 }], 50), 5);
`,
  },
  {
    name: 'mend a bug by a failing test',
    goal: 'node test/range.test.js fails. Find out why, and mend the code. The test is right.',
    files: {
      'package.json': MODULES,
      'src/range.js': `/** Joins ranges [from, to] of whole numbers that overlap or touch; the result is sorted. */
export function joinRanges(ranges) {
  const joined = [];
  for (const [from, to] of ranges.sort()) {
    const last = joined.at(-1);
    if (last && from <= last[1]) last[1] = to;
    else joined.push([from, to]);
  }
  return joined;
}
`,
      'test/range.test.js': `import assert from 'node:assert/strict';
import { joinRanges } from '../src/range.js';
assert.deepEqual(joinRanges([[1, 3], [2, 5]]), [[1, 5]]);
assert.deepEqual(joinRanges([[10, 12], [9, 9]]), [[9, 12]]);
assert.deepEqual(joinRanges([[1, 9], [2, 3]]), [[1, 9]]);
`,
    },
    hiddenTest: `import assert from 'node:assert/strict';
import { joinRanges } from './src/range.js';
assert.deepEqual(joinRanges([]), []);
assert.deepEqual(joinRanges([[1, 2], [3, 4]]), [[1, 4]]);
assert.deepEqual(joinRanges([[1, 2], [4, 5]]), [[1, 2], [4, 5]]);
assert.deepEqual(joinRanges([[20, 30], [100, 110], [3, 4]]), [[3, 4], [20, 30], [100, 110]]);
assert.deepEqual(joinRanges([[1, 100], [5, 6], [7, 8]]), [[1, 100]]);
const given = [[5, 6], [1, 2]];
joinRanges(given);
assert.equal(given.length, 2);
`,
  },
  {
    name: 'write a module by its specification',
    goal: `Write src/duration.js as README.md specifies it.`,
    files: {
      'package.json': MODULES,
      'README.md': `# duration

\`src/duration.js\` exports two functions.

- \`parseDuration(text)\`: milliseconds of a text of whole numbers with a unit each: d, h, m, s, ms, in this order, each at most once, with or without blanks
  between the parts. "1h30m" is 5400000, "2 d 5 ms" is 172800005. Anything else, the empty text too, throws a RangeError whose message contains the text.
- \`formatDuration(ms)\`: the same the other way round, without blanks and without parts that are zero: 5400000 is "1h30m". 0 is "0ms". Negative or broken numbers
  throw a RangeError.
`,
    },
    hiddenTest: `import assert from 'node:assert/strict';
import { formatDuration, parseDuration } from './src/duration.js';
const pairs = [['1h30m', 5400000], ['1ms', 1], ['1d1h1m1s1ms', 90061001], ['59s', 59000], ['400d', 34560000000], ['0ms', 0]];
for (const [text, ms] of pairs) {
  assert.equal(parseDuration(text), ms);
  assert.equal(formatDuration(ms), text);
}
assert.equal(parseDuration('2 d 5 ms'), 172800005);
assert.equal(parseDuration('90m'), 5400000);
for (const text of ['', '5', 'h', '1m1h', '1h1h', '-1s', '1.5h', '1x', '1h 2'])
  assert.throws(() => parseDuration(text), (error) => error instanceof RangeError && error.message.includes(text), text);
for (const ms of [-1, 1.5, NaN, Infinity]) assert.throws(() => formatDuration(ms), RangeError);
`,
  },
  {
    name: 'change a name everywhere',
    goal: 'Rename the function getUser to findUser in the whole project, callers and re-exports included. Keep an export getUser in src/index.js for old callers, and nowhere else.',
    files: {
      'package.json': MODULES,
      'src/users.js': `const users = new Map([['ada', { name: 'Ada' }], ['bob', { name: 'Bob' }]]);

export function getUser(id) {
  return users.get(id);
}

export const userNames = (ids) => ids.map((id) => getUser(id)?.name ?? 'nobody');
`,
      'src/greet.js': `import { getUser } from './users.js';

export const greet = (id) => \`Hello \${getUser(id)?.name ?? 'stranger'}\`;
`,
      'src/audit/log.js': `import { getUser as find } from '../users.js';

export const entry = (id, what) => \`\${find(id)?.name}: \${what}\`;
`,
      'src/index.js': `export { greet } from './greet.js';
export { entry } from './audit/log.js';
export { getUser, userNames } from './users.js';
`,
    },
    hiddenTest: `import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import * as all from './src/index.js';
import * as users from './src/users.js';
assert.equal(users.findUser('ada').name, 'Ada');
assert.equal('getUser' in users, false);
assert.equal(all.findUser('bob').name, 'Bob');
assert.equal(all.getUser('bob').name, 'Bob');
assert.equal(all.greet('ada'), 'Hello Ada');
assert.equal(all.entry('bob', 'left'), 'Bob: left');
assert.deepEqual(all.userNames(['ada', 'x']), ['Ada', 'nobody']);
for (const file of ['src/users.js', 'src/greet.js', 'src/audit/log.js']) assert.ok(!readFileSync(file, 'utf8').includes('getUser'), file);
`,
  },
  {
    name: 'make slow code fast',
    goal: 'countPairs in src/pairs.js gives right counts, and takes minutes for 200,000 numbers. Make it take less than a second; its results must stay the same.',
    files: {
      'package.json': MODULES,
      'src/pairs.js': `/** How many pairs i < j of the numbers add up to the sum. */
export function countPairs(numbers, sum) {
  let count = 0;
  for (let i = 0; i < numbers.length; i += 1)
    for (let j = i + 1; j < numbers.length; j += 1) if (numbers[i] + numbers[j] === sum) count += 1;
  return count;
}
`,
    },
    hiddenTest: `import assert from 'node:assert/strict';
import { countPairs } from './src/pairs.js';
assert.equal(countPairs([], 0), 0);
assert.equal(countPairs([2, 2, 2], 4), 3);
assert.equal(countPairs([1, 5, 3, 3, -1, 7], 6), 3);
assert.equal(countPairs([0, 0], 0), 1);
let seed = 7;
const next = () => (seed = (seed * 48271) % 2147483647);
const some = Array.from({ length: 300 }, () => (next() % 50) - 25);
let slow = 0;
for (let i = 0; i < some.length; i += 1) for (let j = i + 1; j < some.length; j += 1) if (some[i] + some[j] === 3) slow += 1;
assert.equal(countPairs(some, 3), slow);
const many = Array.from({ length: 80000 }, () => next() % 1000000);
const startMs = performance.now();
countPairs(many, 1000000);
assert.ok(performance.now() - startMs < 1500, 'too slow');
`,
  },
  {
    name: 'add an option without breaking callers',
    goal: 'Let table(rows) in src/table.js take a second argument { header, align }: header is a list of titles printed above a line of dashes of the same widths; align is a list of "left" or "right" by column, left where it is absent. Without the argument nothing may change.',
    files: {
      'package.json': MODULES,
      'src/table.js': `/** Rows of cells as text: columns as wide as their widest cell, two blanks between them, no blanks at the end of a line. */
export function table(rows) {
  const widths = [];
  for (const row of rows) for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, String(cell).length);
  return rows.map((row) => row.map((cell, column) => String(cell).padEnd(widths[column])).join('  ').trimEnd()).join('\\n');
}
`,
    },
    hiddenTest: `import assert from 'node:assert/strict';
import { table } from './src/table.js';
assert.equal(table([]), '');
assert.equal(table([['a', 1], ['bcd', 20]]), 'a    1\\nbcd  20');
assert.equal(table([['a', 1], ['bcd', 20]], {}), 'a    1\\nbcd  20');
assert.equal(table([['a', 1], ['bcd', 20]], { align: ['left', 'right'] }), 'a     1\\nbcd  20');
assert.equal(table([['a', 1]], { header: ['name', 'count'] }), 'name  count\\n----  -----\\na     1');
assert.equal(table([['a', 1]], { header: ['name', 'count'], align: ['right', 'right'] }), 'name  count\\n----  -----\\n   a      1');
`,
  },
];
