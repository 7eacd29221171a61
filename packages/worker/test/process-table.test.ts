import { expect, test } from 'vitest';
import { parentsFirst } from '../src/jobs/process-table.ts';

test('what started others is signalled before them, also when numbers began anew in between', () => {
  const row = (pid: number, parent: number) => ({ pid, parent, session: 32_700, hasCookie: true });
  // 32,700 is the shell of the job, 32,701 its child; the numbers of what that one started are small again.
  const rows = [row(310, 32_701), row(311, 310), row(32_700, 9), row(32_701, 32_700)];
  expect(parentsFirst(rows, new Set([310, 311, 32_700, 32_701]))).toEqual([32_700, 32_701, 310, 311]);
});
