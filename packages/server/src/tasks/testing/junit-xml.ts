import type { TestCase, UnitResult } from '@helixcode/protocol/test/test-result';
import { XMLParser } from 'fast-xml-parser';
import { z } from 'zod';
import { boundMessage } from './run-output.ts';

/** A testcase as a JUnit file tells it. */
export interface JunitCase {
  /** Names of the enclosing suites, outermost first. */
  suites: string[];
  className: string;
  name: string;
  /** The `file` of the testcase or of the nearest suite that has one. */
  file: string | undefined;
  line: number | undefined;
  outcome: TestCase['outcome'];
  durationMs: number;
  message: string | undefined;
}

export interface JunitDocument {
  cases: JunitCase[];
  /** Suites that say they have more failures and errors than their testcases show: a crash outside any test. */
  errors: string[];
}

const node = z.record(z.string(), z.unknown());
type Node = z.infer<typeof node>;

const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: '@',
  parseAttributeValue: false,
  parseTagValue: false,
  trimValues: false,
  processEntities: false,
  isArray: (name) => ['testsuite', 'testcase', 'failure', 'error', 'skipped'].includes(name),
});

/**
 * Reads a JUnit XML file as the many tools write it: suites nested or not, with or without a root `testsuites`.
 *
 * @returns `undefined` when the text is no JUnit XML (empty, cut in the middle, something else)
 */
export function parseJunit(text: string): JunitDocument | undefined {
  // The parser forgives a file that ends too early; what is missing from it must not go unseen.
  if (!/<\/testsuites?>\s*$|<testsuites?\b[^>]*\/>\s*$/.test(text)) return undefined;
  let root: Node;
  try {
    root = node.parse(parser.parse(text));
  } catch {
    return undefined;
  }
  const document: JunitDocument = { cases: [], errors: [] };
  const suites = [...children(root, 'testsuite'), ...children(root, 'testsuites').flatMap((one) => children(one, 'testsuite'))];
  for (const suite of suites) readSuite(suite, [], undefined, document);
  return document;
}

function readSuite(suite: Node, outer: readonly string[], outerFile: string | undefined, document: JunitDocument): void {
  const name = attribute(suite, 'name');
  const suites = name ? [...outer, name] : [...outer];
  const file = attribute(suite, 'file') || attribute(suite, 'filepath') || outerFile;
  const own = children(suite, 'testcase').map((one) => readCase(one, suites, file));
  const inner: JunitDocument = { cases: [], errors: [] };
  for (const child of children(suite, 'testsuite')) readSuite(child, suites, file, inner);
  const failed = [...own, ...inner.cases].filter((one) => one.outcome === 'failed').length;
  const said = [...children(suite, 'error'), ...children(suite, 'failure')].map(textOfProblem);
  const claimed = count(suite, 'failures') + count(suite, 'errors');
  if (said.length > 0) document.errors.push(`${name}\n${said.join('\n')}`);
  else if (claimed > failed && inner.errors.length === 0)
    document.errors.push(`suite ${name} says ${claimed} failed, its tests show ${failed}`);
  document.cases.push(...own, ...inner.cases);
  document.errors.push(...inner.errors);
}

function readCase(testcase: Node, suites: readonly string[], suiteFile: string | undefined): JunitCase {
  const problems = [...children(testcase, 'failure'), ...children(testcase, 'error')];
  const skipped = children(testcase, 'skipped').length > 0 || /^(?:skipped|disabled|notrun|ignored)$/i.test(attribute(testcase, 'status'));
  const line = Number(attribute(testcase, 'line'));
  const seconds = Number(attribute(testcase, 'time').replaceAll(',', ''));
  return {
    suites: [...suites],
    className: attribute(testcase, 'classname'),
    name: attribute(testcase, 'name'),
    file: attribute(testcase, 'file') || attribute(testcase, 'filepath') || suiteFile,
    line: Number.isInteger(line) && line > 0 ? line : undefined,
    outcome: problems.length > 0 ? 'failed' : skipped ? 'skipped' : 'passed',
    durationMs: Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : 0,
    message: problems.length > 0 ? boundMessage(problems.map(textOfProblem).join('\n\n')) || 'failed without a message' : undefined,
  };
}

function textOfProblem(problem: Node): string {
  const message = attribute(problem, 'message');
  const text = (typeof problem['#text'] === 'string' ? unescapeXml(problem['#text']) : '').trim();
  return text.includes(message) ? text : `${message}\n${text}`.trim();
}

/** Elements of a name; text alone (`<failure>x</failure>`) counts as an element with text. */
function children(parent: Node, name: string): Node[] {
  const found = parent[name];
  return (Array.isArray(found) ? found : found === undefined ? [] : [found]).map(
    (one) => node.safeParse(one).data ?? { '#text': String(one) },
  );
}

function attribute(of: Node, name: string): string {
  const value = of[`@${name}`];
  return typeof value === 'string' ? unescapeXml(value) : '';
}

const count = (of: Node, name: string): number => Math.max(0, Number.parseInt(attribute(of, name), 10) || 0);

const NAMED: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

/** Entities in one pass, so that `&amp;#10;` stays the text `&#10;`; those of a DOCTYPE are left as they are. */
function unescapeXml(text: string): string {
  return text.replace(
    /&(?:#x([0-9a-fA-F]{1,6})|#(\d{1,7})|(amp|lt|gt|quot|apos));/g,
    (whole, hex?: string, decimal?: string, name?: string) => {
      if (name !== undefined) return NAMED[name] ?? whole;
      const code = hex === undefined ? Number(decimal) : Number.parseInt(hex, 16);
      return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
    },
  );
}

/** A unit of the merged result: like any other, with what is known of its flaky tests. */
export interface MergedUnit extends UnitResult {
  /** Cases (as their place in `cases`) that failed once and passed once, with the message of the failure. */
  flakyCases: ReadonlyMap<number, string>;
}

/**
 * Writes the merged result as one JUnit document: a suite per unit, `property name="flaky"` on tests that were flaky,
 * and a unit's failure outside any test as a testcase named for the unit, since readers only count testcases.
 */
export function writeJunit(runner: string, units: readonly MergedUnit[]): string {
  const suites = units.map(writeSuite);
  const sum = (part: (suite: WrittenSuite) => number) => suites.reduce((total, suite) => total + part(suite), 0);
  const totals = `tests="${sum((one) => one.tests)}" failures="${sum((one) => one.failures)}" errors="${sum((one) => one.errors)}" skipped="${sum((one) => one.skipped)}"`;
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites name="${escapeXml(runner)}" ${totals} time="${seconds(units.reduce((total, unit) => total + unit.durationMs, 0))}">`,
    ...suites.map((suite) => suite.text),
    '</testsuites>',
    '',
  ].join('\n');
}

interface WrittenSuite {
  text: string;
  tests: number;
  failures: number;
  errors: number;
  skipped: number;
}

function writeSuite(unit: MergedUnit): WrittenSuite {
  const crashed = unit.outcome === 'error' || unit.outcome === 'missing';
  const of = (outcome: TestCase['outcome']) => unit.cases.filter((one) => one.outcome === outcome).length;
  const suite = { tests: unit.cases.length + (crashed ? 1 : 0), failures: of('failed'), errors: crashed ? 1 : 0, skipped: of('skipped') };
  const name = escapeXml(unit.unit);
  const cases = unit.cases.map((one, at) => writeCase(one, unit.flakyCases.get(at)));
  if (crashed) {
    const message = unit.message ?? 'gave no result';
    cases.push(
      `    <testcase classname="${name}" name="${name}" file="${name}" time="0.000">\n      ${problem('error', message)}\n    </testcase>`,
    );
  }
  const counts = `tests="${suite.tests}" failures="${suite.failures}" errors="${suite.errors}" skipped="${suite.skipped}"`;
  return {
    ...suite,
    text: [`  <testsuite name="${name}" file="${name}" ${counts} time="${seconds(unit.durationMs)}">`, ...cases, '  </testsuite>'].join(
      '\n',
    ),
  };
}

function writeCase(one: TestCase, flaky: string | undefined): string {
  const line = one.line === undefined ? '' : ` line="${one.line}"`;
  const head = `    <testcase classname="${escapeXml(one.unit)}" name="${escapeXml(one.name)}" file="${escapeXml(one.file ?? one.unit)}"${line} time="${seconds(one.durationMs)}"`;
  const inner: string[] = [];
  if (flaky !== undefined) {
    inner.push(
      `<properties><property name="flaky" value="true"/><property name="flaky.message" value="${escapeXml(flaky)}"/></properties>`,
    );
  }
  if (one.outcome === 'failed') inner.push(problem('failure', one.message ?? 'failed'));
  if (one.outcome === 'skipped') inner.push('<skipped/>');
  return inner.length === 0 ? `${head}/>` : `${head}>\n${inner.map((text) => `      ${text}`).join('\n')}\n    </testcase>`;
}

function problem(tag: 'failure' | 'error', message: string): string {
  return `<${tag} message="${escapeXml(message.split('\n', 1)[0] ?? '')}">${escapeXml(message)}</${tag}>`;
}

const seconds = (durationMs: number): string => (durationMs / 1000).toFixed(3);

/** Text for an attribute or an element; a character that XML 1.0 has no way to hold becomes U+FFFD. */
export function escapeXml(text: string): string {
  return text
    .toWellFormed()
    .replace(/[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/gu, '\uFFFD')
    .replace(/[&<>"\t\n\r]/g, (char) => ENTITIES[char] ?? char);
}

/** Line ends and tabs as numbers, or an attribute would come back with spaces instead. */
const ENTITIES: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  '\t': '&#9;',
  '\n': '&#10;',
  '\r': '&#13;',
};
