/**
 * Checks the whole checkout: `npm run check`, `npm run check -- --only types,lint`, `npm run check -- --skip tests`.
 *
 * Prints a line per part as it ends, then every problem, the longest files, and the requirements that tests cite. Exit code 1 when there is a problem.
 */
import { parseArgs, styleText } from 'node:util';
import { checkDiagrams } from './check/diagrams.ts';
import { checkDocs } from './check/docs.ts';
import { checkFocusedTests } from './check/focused-tests.ts';
import { checkImportCycles } from './check/import-cycles.ts';
import { checkImportDirection } from './check/import-direction.ts';
import { checkLint } from './check/lint.ts';
import { longestFiles } from './check/longest-files.ts';
import { checkPrivateText } from './check/private-text.ts';
import { checkRequirements, citedRequirements } from './check/requirements.ts';
import { checkSqlStatements } from './check/sql-statements.ts';
import { checkTests } from './check/tests.ts';
import { checkTypes } from './check/types.ts';

interface Part {
  name: string;
  /** Returns one `file:line: problem` per problem. */
  check(): string[] | Promise<string[]>;
  /** Parts of one round run at the same time, a round after the one before. */
  round: number;
}

const PARTS: Part[] = [
  { name: 'types', round: 1, check: () => checkTypes() },
  { name: 'lint', round: 1, check: () => checkLint() },
  { name: 'import-direction', round: 2, check: () => checkImportDirection() },
  { name: 'import-cycles', round: 2, check: () => checkImportCycles() },
  { name: 'docs', round: 2, check: () => checkDocs() },
  { name: 'diagrams', round: 2, check: () => checkDiagrams() },
  { name: 'private-text', round: 2, check: () => checkPrivateText() },
  { name: 'focused-tests', round: 2, check: () => checkFocusedTests() },
  { name: 'requirements', round: 2, check: () => checkRequirements() },
  { name: 'sql', round: 3, check: () => checkSqlStatements() },
  { name: 'tests', round: 4, check: () => checkTests() },
];

const chosen = chooseParts();
const problems: string[] = [];
for (const round of new Set(chosen.map((part) => part.round))) {
  const found = await Promise.all(chosen.filter((part) => part.round === round).map(run));
  problems.push(...found.flat());
}
if (problems.length > 0) console.log(`\n${problems.join('\n')}`);
console.log('\nThe longest files:');
for (const { file, lines } of longestFiles(10)) console.log(`${String(lines).padStart(6)}  ${file}`);
const { cited, all } = citedRequirements();
console.log(`\nRequirements that tests cite: ${cited.length} of ${all.length}: ${cited.join(' ')}`);
process.exitCode = problems.length > 0 ? 1 : 0;

async function run(part: Part): Promise<string[]> {
  const startMs = performance.now();
  const found = await part.check();
  const durationMs = Math.round(performance.now() - startMs);
  const outcome =
    found.length === 0 ? styleText('green', 'ok') : styleText('red', `${found.length} ${found.length === 1 ? 'problem' : 'problems'}`);
  console.log(`${part.name.padEnd(16)} ${String(durationMs).padStart(7)} ms  ${outcome}`);
  return found.map((problem) => `${part.name}: ${problem}`);
}

function chooseParts(): Part[] {
  const { values } = parseArgs({ options: { only: { type: 'string' }, skip: { type: 'string' } } });
  const named = (list: string): string[] => list.split(',').map((name) => name.trim());
  const only = values.only === undefined ? PARTS.map((part) => part.name) : named(values.only);
  const skip = values.skip === undefined ? [] : named(values.skip);
  const unknown = [...only, ...skip].find((name) => !PARTS.some((part) => part.name === name));
  if (unknown !== undefined) {
    console.error(`there is no part ${unknown}; the parts are ${PARTS.map((part) => part.name).join(', ')}`);
    process.exit(2);
  }
  return PARTS.filter((part) => only.includes(part.name) && !skip.includes(part.name));
}
