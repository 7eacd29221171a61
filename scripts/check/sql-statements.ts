import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { connectionUrl } from '@helixcode/server/db/connection-url';
import { startEmbeddedPostgres } from '@helixcode/server/db/embedded-postgres';
import { migrate } from '@helixcode/server/db/migrate';
import pg from 'pg';

const repository = path.resolve(import.meta.dirname, '../..');

/** A SQL text of a `<noun>-sql.ts` file, as it stands between the backticks. */
export interface SqlStatement {
  file: string;
  /** Line of the opening backtick, from 1. */
  line: number;
  text: string;
}

/**
 * Prepares every SQL text of the server against the migrated schema, so that a typo or a renamed column fails here.
 *
 * @param root the repository; the schema is always the one of this checkout
 * @returns one `file:line: problem` per problem; empty when all is well
 */
export async function checkSqlStatements(root = repository): Promise<string[]> {
  const statements = globSync('packages/server/src/**/*-sql.ts', { cwd: root })
    .sort()
    .flatMap((file) => sqlStatementsIn(file, readFileSync(path.join(root, file), 'utf8')));
  const constant = statements.filter(({ text }) => !text.includes('${'));
  const composed = statements.filter(({ text }) => text.includes('${'));
  return [
    ...composed.map(
      ({ file, line, text }) =>
        `${file}:${line + linesBefore(text, text.indexOf('${'))}: a value is put into the text; pass it as a parameter`,
    ),
    ...(constant.length > 0 ? await prepared(constant) : []),
  ];
}

/** Every text in backticks that `source` passes to a `.query(`, also behind type arguments. */
export function sqlStatementsIn(file: string, source: string): SqlStatement[] {
  const statements: SqlStatement[] = [];
  for (const call of source.matchAll(/\.query\b/g)) {
    let at = call.index + call[0].length;
    if (source[at] === '<') at = afterBrackets(source, at);
    const opening = /^\s*\(\s*`/.exec(source.slice(at, at + 400));
    if (opening === null) continue;
    const start = at + opening[0].length;
    const end = /(?<!\\)`/.exec(source.slice(start));
    if (end === null) continue;
    statements.push({ file, line: 1 + linesBefore(source, start), text: source.slice(start, start + end.index) });
  }
  return statements;
}

async function prepared(statements: SqlStatement[]): Promise<string[]> {
  const folder = mkdtempSync(path.join(tmpdir(), 'helixcode-check-sql-'));
  const postgres = await startEmbeddedPostgres(folder, { settings: { fsync: 'off' } });
  const client = new pg.Client({ connectionString: connectionUrl(postgres.url) });
  try {
    await migrate(postgres.url);
    await client.connect();
    const problems: string[] = [];
    for (const statement of statements) {
      const problem = await problemOf(client, statement);
      if (problem !== undefined) problems.push(problem);
    }
    return problems;
  } finally {
    await client.end();
    await postgres.stop();
    rmSync(folder, { recursive: true });
  }
}

const preparation = 'prepare checked as ';

async function problemOf(client: pg.Client, { file, line, text }: SqlStatement): Promise<string | undefined> {
  try {
    await client.query(preparation + text);
    await client.query('deallocate checked');
    return undefined;
  } catch (error) {
    if (!(error instanceof pg.DatabaseError)) throw error;
    const position = Math.max(0, Number(error.position ?? 1) - 1 - preparation.length);
    const hint = error.hint === undefined ? '' : ` (${error.hint})`;
    return `${file}:${line + linesBefore(text, position)}: ${error.message}${hint}`;
  }
}

/** Type arguments hold brackets of their own and, in a function type, an arrow that closes none. */
function afterBrackets(source: string, opening: number): number {
  let depth = 0;
  for (let at = opening; at < source.length; at++) {
    if (source[at] === '<') depth++;
    else if (source[at] === '>' && source[at - 1] !== '=' && --depth === 0) return at + 1;
  }
  return source.length;
}

function linesBefore(text: string, position: number): number {
  return text.slice(0, position).split('\n').length - 1;
}

if (import.meta.main) {
  const problems = await checkSqlStatements();
  for (const problem of problems) console.error(problem);
  process.exitCode = problems.length > 0 ? 1 : 0;
}
