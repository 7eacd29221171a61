import { newId } from '@helixcode/protocol/ids';
import { redialDelayMs } from '@helixcode/protocol/worker/redial-delay';
import type { OutputPiece } from '@helixcode/server/workers/job-book';
import { joinNeighbours } from '@helixcode/server/workers/output-writer';
import { expect, test } from 'vitest';

const attempt = newId('attempt');
const piece = (stream: string, offset: number, text: string): OutputPiece => ({ attempt, stream, offset, bytes: Buffer.from(text) });

test('pieces that follow each other become one row, whatever stands between them', () => {
  const joined = joinNeighbours([
    piece('out', 0, 'ab'),
    piece('err', 0, 'x'),
    piece('out', 2, 'cd'),
    piece('out', 4, 'e'),
    piece('err', 1, 'y'),
  ]);

  expect(joined.map(({ stream, offset, bytes }) => [stream, offset, Buffer.from(bytes).toString()])).toEqual([
    ['out', 0, 'abcde'],
    ['err', 0, 'xy'],
  ]);
});

test('pieces with a gap between them, and what would be too large a row, stay apart', () => {
  expect(joinNeighbours([piece('out', 0, 'ab'), piece('out', 3, 'cd')])).toHaveLength(2);
  expect(joinNeighbours([piece('out', 0, 'a'.repeat(65_536)), piece('out', 65_536, 'b')])).toHaveLength(2);
});

test('dialling again waits longer each time, never over 22.5 s, and never the same for all', () => {
  expect([0, 1, 2].map((failures) => redialDelayMs(failures, 0.5))).toEqual([250, 500, 1000]);
  expect(redialDelayMs(1_000_000, 0.999)).toBeLessThan(22_500);
  expect(redialDelayMs(0, 0)).toBe(125);
});
