import type { TestCase } from '@helixcode/protocol/test/test-result';
import fc from 'fast-check';
import { XMLValidator } from 'fast-xml-parser';
import { describe, expect, test } from 'vitest';
import { type MergedUnit, parseJunit, writeJunit } from '../../../src/tasks/testing/junit-xml.ts';

const unit = (name: string, cases: TestCase[] = [], more: Partial<MergedUnit> = {}): MergedUnit => ({
  unit: name,
  outcome: 'passed',
  durationMs: 1_500,
  cases,
  flakyCases: new Map(),
  ...more,
});

test('what is written is read back, whatever characters it has', () => {
  const text = fc.string({
    unit: fc.oneof(
      fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 }),
      fc.constantFrom('<', '&', '"', "'", ']]>', '\n', '\t', '\r', '\u0000', '\u001b', '\ud800', '\uffff', '&#10;', '&amp;'),
    ),
  });
  const outcome = fc.constantFrom<TestCase['outcome']>('passed', 'failed', 'skipped');
  const readable = (value: string) =>
    value.toWellFormed().replace(/[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/gu, '\uFFFD');
  fc.assert(
    fc.property(fc.array(fc.record({ name: text, outcome }), { minLength: 1 }), text, (cases, unitName) => {
      const xml = writeJunit('vitest', [
        unit(
          unitName,
          cases.map((one) => ({ unit: unitName, durationMs: 12, ...one })),
        ),
      ]);
      expect(XMLValidator.validate(xml)).toBe(true);
      const read = parseJunit(xml);
      expect(read?.errors).toEqual([]);
      expect(read?.cases.map(({ name, outcome: told, className }) => [name, told, className])).toEqual(
        cases.map((one) => [readable(one.name), one.outcome, readable(unitName)]),
      );
    }),
  );
});

test('the document has a suite per unit, its totals, and says what was flaky or crashed', () => {
  const failed: TestCase = {
    unit: 'b',
    name: 'y',
    outcome: 'failed',
    durationMs: 20,
    message: 'first line\nmore',
    file: 'src/f.ts',
    line: 9,
  };
  const xml = writeJunit('jest', [
    unit('a', [{ unit: 'a', name: 'x', outcome: 'passed', durationMs: 10 }], { flakyCases: new Map([[0, 'was < broken']]) }),
    unit('b', [failed], { outcome: 'failed' }),
    unit('c', [], { outcome: 'error', message: 'cannot import' }),
  ]);
  expect(xml).toContain('<testsuites name="jest" tests="3" failures="1" errors="1" skipped="0" time="4.500">');
  expect(xml).toContain('<property name="flaky" value="true"/><property name="flaky.message" value="was &lt; broken"/>');
  expect(xml).toContain('file="src/f.ts" line="9"');
  expect(xml).toContain('<failure message="first line">first line&#10;more</failure>');
  expect(xml).toContain('<error message="cannot import">cannot import</error>');
});

describe('files of many tools are read', () => {
  test('a suite within a suite, its file, and a single suite as root', () => {
    const read = parseJunit(
      '<?xml version="1.0"?>\n<testsuite name="o" file="t/a.x"><testsuite name="i"><testcase classname="C" name="n" time="1,234.5" line="7"/></testsuite></testsuite>\n',
    );
    expect(read?.cases).toMatchObject([
      { suites: ['o', 'i'], className: 'C', name: 'n', file: 't/a.x', line: 7, outcome: 'passed', durationMs: 1_234_500 },
    ]);
  });

  test('failures and errors with text, CDATA, an attribute, or nothing', () => {
    const read = parseJunit(
      '<testsuites><testsuite name="s"><testcase name="a"><failure message="m">text &lt;1&gt;</failure></testcase><testcase name="b"><error><![CDATA[x < y]]></error></testcase>' +
        '<testcase name="c"><failure/></testcase><testcase name="d" status="skipped"/><testcase name="e"><skipped message="why"/></testcase></testsuite></testsuites>',
    );
    expect(read?.cases.map((one) => [one.outcome, one.message])).toEqual([
      ['failed', 'm\ntext <1>'],
      ['failed', 'x < y'],
      ['failed', 'failed without a message'],
      ['skipped', undefined],
      ['skipped', undefined],
    ]);
  });

  test('a suite that says more failed than its tests show has an error', () => {
    expect(parseJunit('<testsuite name="s" errors="1" failures="0"><testcase name="a"/></testsuite>')?.errors).toEqual([
      'suite s says 1 failed, its tests show 0',
    ]);
  });

  test('what is cut, empty or something else is no document', () => {
    for (const text of [
      '',
      '<html></html>',
      '<testsuites><testsuite name="s"><testcase name="a"/>',
      'PASS',
      '{}',
      '<testsuite><testcase name="a"></testsuite>x',
    ]) {
      expect(parseJunit(text)).toBeUndefined();
    }
    fc.assert(fc.property(fc.string(), (text) => void parseJunit(`<testsuites>${text}</testsuites>`)));
  });

  test('entities of a DOCTYPE are not expanded', () => {
    const read = parseJunit(
      '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><testsuites><testsuite name="s"><testcase name="&b;"/></testsuite></testsuites>',
    );
    expect(read === undefined || read.cases[0]?.name === '&b;').toBe(true);
  });
});
