import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { checkSqlStatements, sqlStatementsIn } from '../../scripts/check/sql-statements.ts';

test('a wrong column, a typo and a value put into the text are each found at their line', async () => {
  const root = mkdtempSync(path.join(tmpdir(), 'helixcode-sql-'));
  mkdirSync(path.join(root, 'packages/server/src/notes'), { recursive: true });
  writeFileSync(
    path.join(root, 'packages/server/src/notes/note-sql.ts'),
    [
      'const good = await db.query<{ id: string }>(`select id from users where name = $1`, [name]);',
      'await db.query(',
      '  `select id,',
      '          nmae',
      '     from users`,',
      ');',
      'await db.query(`selekt 1`);',
      'await db.query(`select id from ${table}`);',
    ].join('\n'),
  );
  try {
    const file = 'packages/server/src/notes/note-sql.ts';
    expect((await checkSqlStatements(root)).sort()).toEqual([
      `${file}:4: column "nmae" does not exist (Perhaps you meant to reference the column "users.name".)`,
      `${file}:7: syntax error at or near "selekt"`,
      `${file}:8: a value is put into the text; pass it as a parameter`,
    ]);
  } finally {
    rmSync(root, { recursive: true });
  }
});

test('a text is found behind type arguments of every shape', () => {
  const source = 'tx.query<Map<string, () => Row<A>>>(\n  `select 1`); tx.query(named, `no`); tx.query("select 2"); tx.query(`select 3`)';
  expect(sqlStatementsIn('a-sql.ts', source).map(({ line, text }) => [line, text])).toEqual([
    [2, 'select 1'],
    [2, 'select 3'],
  ]);
});
