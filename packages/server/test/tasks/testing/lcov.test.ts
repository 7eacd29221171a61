import fc from 'fast-check';
import { expect, test } from 'vitest';
import { mergeLcov, relativeLcov } from '../../../src/tasks/testing/lcov.ts';

test('hits of lines, functions and branches add up', () => {
  const part = (hits: number, branch: string) =>
    `TN:\nSF:src/a.ts\nFN:3,f\nFNDA:${hits},f\nBRDA:4,0,1,${branch}\nDA:3,${hits}\nDA:9,0\nLF:2\nend_of_record\n`;
  const { lcov, linesFound, linesHit, lineCoverage } = mergeLcov([
    part(2, '-'),
    part(5, '1'),
    'SF:src/b.ts\r\nDA:1,0\r\nend_of_record\r\n',
  ]);
  expect(lcov).toContain('FNDA:7,f\n');
  expect(lcov).toContain('BRDA:4,0,1,1\n');
  expect(lcov).toContain('DA:3,7\nDA:9,0\nLF:2\nLH:1\n');
  expect({ linesFound, linesHit }).toEqual({ linesFound: 3, linesHit: 1 });
  expect(lineCoverage).toBeCloseTo(1 / 3);
});

test('merging parts is the same as merging the whole, in any order', () => {
  const record = fc.record({ file: fc.constantFrom('a', 'b', 'c'), line: fc.integer({ min: 1, max: 9 }), hits: fc.nat(5) });
  fc.assert(
    fc.property(fc.array(record), fc.array(record), (left, right) => {
      const text = (records: typeof left) =>
        records.map(({ file, line, hits }) => `SF:${file}\nDA:${line},${hits}\nend_of_record\n`).join('');
      expect(mergeLcov([text(left), text(right)])).toEqual(mergeLcov([mergeLcov([text(right)]).lcov, text(left)]));
    }),
  );
});

test('without a line there is no coverage, and garbage adds none', () => {
  expect(mergeLcov([])).toMatchObject({ lcov: '', lineCoverage: undefined });
  expect(mergeLcov(['SF:a\nDA:x,1\nDA:1\nFNDA:3,g\nDA:2,99999999999999999999\n\0BRDA:1'])).toMatchObject({ linesFound: 0 });
  fc.assert(fc.property(fc.string(), (text) => void mergeLcov([`SF:a\n${text}`])));
});

test('paths become relative to the root, and files outside it are dropped', () => {
  const text = 'SF:/w/1/src/$&.ts\nDA:1,1\nend_of_record\nSF:/usr/lib/x.js\nDA:1,1\nend_of_record\nSF:src/b.ts\nDA:1,1\nend_of_record\n';
  expect(relativeLcov(text, '/w/1')).toBe('SF:src/$&.ts\nDA:1,1\nend_of_record\nSF:src/b.ts\nDA:1,1\nend_of_record\n');
});
