import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createAuthenticate } from '@helixcode/server/auth/authenticate';
import { ensureOwnerToken } from '@helixcode/server/auth/owner-token';
import { newToken } from '@helixcode/server/auth/token';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { givenDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let folder: string;
let file: string;

beforeEach(async () => {
  database = await givenDatabase();
  folder = await mkdtemp(path.join(tmpdir(), 'helix-owner-token-'));
  file = path.join(folder, 'owner-token');
});
afterEach(async () => {
  await database.drop();
  await rm(folder, { recursive: true });
});

const readToken = async (): Promise<string> => (await readFile(file, 'utf8')).trim();

test('the first start leaves a token that only its user can read and that signs in as the owner', async () => {
  const { owner } = await ensureOwnerToken(database.db, folder);

  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect(await readdir(folder)).toEqual(['owner-token']);
  const token = await readToken();
  expect(token).toMatch(/^hlx_[\w-]{43}$/);
  expect(await createAuthenticate(database.db)(token)).toBe(owner);
  const { rows } = await database.db.query<{ all: string }>('select string_agg(user_sessions::text, $1) as all from user_sessions', ['']);
  expect(rows[0]?.all).not.toContain(token);
});

test('later starts keep the token, and close a file that others could read', async () => {
  await ensureOwnerToken(database.db, folder);
  const token = await readToken();
  await chmod(file, 0o644);
  await ensureOwnerToken(database.db, folder);
  expect(await readToken()).toBe(token);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
});

test('when the file is gone a new token is made and the old one refused', async () => {
  await ensureOwnerToken(database.db, folder);
  const old = await readToken();
  await rm(file);
  await ensureOwnerToken(database.db, folder);
  const authenticate = createAuthenticate(database.db);
  await expect(authenticate(old)).rejects.toMatchObject({ code: 'auth.token_refused', message: 'the token was revoked' });
  expect(await authenticate(await readToken())).toMatch(/^usr_/);
});

test('a new database accepts the token of the file that is there', async () => {
  const token = newToken();
  await writeFile(file, `${token}\n`);
  const { owner } = await ensureOwnerToken(database.db, folder);
  expect(await readToken()).toBe(token);
  expect(await createAuthenticate(database.db)(token)).toBe(owner);
});

test('a second server on the same database does not revoke the token of the first', async () => {
  const { owner } = await ensureOwnerToken(database.db, folder);
  const other = await mkdtemp(path.join(tmpdir(), 'helix-owner-token-'));
  expect((await ensureOwnerToken(database.db, other)).owner).toBe(owner);
  await rm(other, { recursive: true });
  expect(await createAuthenticate(database.db)(await readToken())).toBe(owner);
});

test('a missing, a malformed, an unknown and an expired token are refused, with the way to find the right one', async () => {
  await ensureOwnerToken(database.db, folder);
  const authenticate = createAuthenticate(database.db);
  await expect(authenticate(undefined)).rejects.toMatchObject({ code: 'auth.token_missing', next: expect.stringContaining('HELIX_TOKEN') });
  await expect(authenticate('secret')).rejects.toMatchObject({ code: 'auth.token_refused', next: expect.stringContaining('helix status') });
  await expect(authenticate(newToken())).rejects.toMatchObject({ code: 'auth.token_refused' });
  await database.db.query(`update user_sessions set expires_at = now() - interval '1 second'`);
  await expect(authenticate(await readToken())).rejects.toMatchObject({ code: 'auth.token_refused', message: 'the token has expired' });
});

test('a token in use is looked up rarely, and refused within seconds of its revocation', async () => {
  await ensureOwnerToken(database.db, folder);
  const token = await readToken();
  let nowMs = 0;
  let queries = 0;
  const query = <Row>(text: string, params?: unknown[]) => {
    queries++;
    return database.db.query<Row>(text, params);
  };
  const authenticate = createAuthenticate({ ...database.db, query }, () => nowMs);
  await Promise.all(Array.from({ length: 50 }, () => authenticate(token)));
  expect(queries).toBe(2);
  await database.db.query('update user_sessions set revoked_at = now()');
  nowMs = 3_000;
  await expect(authenticate(token)).rejects.toMatchObject({ code: 'auth.token_refused' });
});
