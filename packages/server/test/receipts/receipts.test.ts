import { createPublicKey, verify } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { newId, type ProjectId, type TaskId } from '@helixcode/protocol/ids';
import { canonicalJson } from '@helixcode/protocol/receipt/canonical-json';
import type { SignedReceipt } from '@helixcode/protocol/receipt/receipt';
import { type Notary, openNotary } from '@helixcode/server/receipts/notary';
import { openSigningKey, type SigningKey } from '@helixcode/server/receipts/signing-key';
import fc from 'fast-check';
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { givenDatabase, type TestDatabase } from '../support/database.ts';
import { type GivenTasks, givenTasks } from '../support/given-tasks.ts';

const commit = 'c'.repeat(40);
const tree = 'd'.repeat(40);
const log = pino({ level: 'silent' });

let database: TestDatabase;
let folder: string;
let key: SigningKey;
let given: GivenTasks;
let notary: Notary;
let project: ProjectId;
const server = newId('server');

beforeAll(async () => {
  database = await givenDatabase();
  folder = mkdtempSync(path.join(tmpdir(), 'helix-receipts-'));
  key = await openSigningKey(folder);
  project = newId('project');
  await database.db.query(`insert into projects (id, name) values ($1, 'sample')`, [project]);
});
afterAll(async () => {
  await given.end();
  await notary.stop();
  await database.drop();
  rmSync(folder, { recursive: true });
});
beforeEach(async () => {
  await given?.end();
  await notary?.stop();
  await database.db.query('truncate receipts, receipt_keys');
  given = await givenTasks(database);
  notary = await openNotary({ db: database.db, log, server, key, treeOf: () => Promise.resolve(tree) });
});

function isGenuine({ receipt, signature }: SignedReceipt): boolean {
  return verify(null, Buffer.from(canonicalJson(receipt)), createPublicKey(key.publicKey), Buffer.from(signature, 'base64'));
}

/** A command that ran at the commit and ended with that status. */
async function ran(exitCode: number): Promise<TaskId> {
  const task = await given.submit({ kind: 'shell', spec: { project, commit, command: 'make check', env: { MODE: 'strict' } } });
  const { attempt } = await given.pool.nextAssigned();
  await given.report(attempt, { exitCode, wallMs: 1_234, streams: {} });
  await given.until(task, exitCode === 0 ? 'completed' : 'failed');
  return task.id;
}

test('a command that passed at a commit gets a receipt of what its worker measured, signed by the server [F1]', async () => {
  const task = await ran(0);
  const signed = await notary.receiptOf(task);
  expect(signed?.receipt).toMatchObject({
    server,
    project: { id: project, name: 'sample' },
    commit,
    tree,
    task,
    kind: 'shell',
    command: 'make check',
    specSha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    attempt: { exitCode: 0, wallMs: 1_234, worker: { id: expect.stringMatching(/^wrk_/) } },
  });
  expect(signed && isGenuine(signed)).toBe(true);
  // Asked again it is the same one.
  expect(await notary.receiptOf(task)).toEqual(signed);
});

test('a command that failed, and one that ran at no commit, get none [F1] [T9]', async () => {
  expect(await notary.receiptOf(await ran(1))).toBeUndefined();
  const loose = await given.submit({ kind: 'shell', spec: { command: 'true' } });
  const { attempt } = await given.pool.nextAssigned();
  await given.report(attempt, { exitCode: 0, streams: {} });
  await given.until(loose, 'completed');
  expect(await notary.receiptOf(loose.id)).toBeUndefined();
});

test('a command that began at a checkpoint did not run at the tree of its commit, and gets none [F1]', async () => {
  const task = await given.submit({ kind: 'shell', spec: { project, commit, command: 'make check' } });
  const { attempt } = await given.pool.nextAssigned();
  await database.db.query(`update task_attempts set restore = '{"number": 1, "commit": "abc"}' where id = $1`, [attempt]);
  await given.report(attempt, { exitCode: 0, streams: {} });
  await given.until(task, 'completed');
  expect(await notary.receiptOf(task.id)).toBeUndefined();
});

test('a divided task is vouched for as a whole: its parts, their exit statuses and their workers', async () => {
  const task = await given.submit({ kind: 'shell', spec: { project, commit, command: 'check "$HELIX_ITEM"', each: ['a', 'b', 'c'] } });
  for (let part = 0; part < 3; part++) await given.report((await given.pool.nextAssigned()).attempt, { exitCode: 0, streams: {} });
  await given.until(task, 'completed');
  const signed = await notary.receiptOf(task.id);
  expect(signed?.receipt).toMatchObject({ parts: { tasks: 3, reused: 0, attempts: 3, exitCodes: { '0': 3 } } });
  expect(signed && isGenuine(signed)).toBe(true);
});

test('what was owed when a server ended is signed by the next one', async () => {
  await notary.stop();
  const task = await ran(0);
  const { rows } = await database.db.query<{ body: string | null }>('select body from receipts where task_id = $1', [task]);
  expect(rows).toEqual([{ body: null }]);
  const signed = Promise.withResolvers<void>();
  const watched = {
    ...key,
    sign(text: string) {
      signed.resolve();
      return key.sign(text);
    },
  };
  notary = await openNotary({ db: database.db, log, server, key: watched, treeOf: () => Promise.resolve(tree) });
  await signed.promise;
  expect(await notary.receiptOf(task)).toMatchObject({ receipt: { task } });
});

test('any change of a receipt, in the database too, breaks its signature [F1]', async () => {
  const task = await ran(0);
  const signed = await notary.receiptOf(task);
  if (!signed) throw new Error('there is no receipt');
  const leaves = (value: object, at: string[] = []): string[][] =>
    Object.entries(value).flatMap(([name, inner]) => (typeof inner === 'object' ? leaves(inner, [...at, name]) : [[...at, name]]));
  const places = leaves(signed.receipt);
  expect(places.length).toBeGreaterThan(15);
  for (const place of places) {
    const changed = structuredClone(signed);
    const last = place.at(-1) ?? '';
    const holder = place.slice(0, -1).reduce<Record<string, never>>((inner, name) => inner[name] as never, changed.receipt as never);
    (holder as Record<string, unknown>)[last] = typeof holder[last] === 'number' ? Number(holder[last]) + 1 : `${String(holder[last])}x`;
    expect(isGenuine(changed), place.join('.')).toBe(false);
  }
  await database.db.query(`update receipts set body = replace(body, 'make check', 'true')`);
  const changed = await notary.receiptOf(task);
  expect(changed?.receipt.command).toBe('true');
  expect(changed && isGenuine(changed)).toBe(false);
});

test('the key is made once, for its user only, and a mode that was widened is narrowed again', async () => {
  const file = path.join(folder, 'receipts.key');
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const text = readFileSync(file, 'utf8');
  chmodSync(file, 0o644);
  const [again, other] = await Promise.all([openSigningKey(folder), openSigningKey(folder)]);
  expect([again.id, other.id]).toEqual([key.id, key.id]);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(readFileSync(file, 'utf8')).toBe(text);

  const fresh = mkdtempSync(path.join(tmpdir(), 'helix-receipts-'));
  const made = await Promise.all([1, 2, 3].map(() => openSigningKey(fresh)));
  expect(new Set(made.map(({ id }) => id)).size).toBe(1);
  rmSync(fresh, { recursive: true });
});

test('the canonical text of a value is the same however it was put together, and reads back as the value', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = canonicalJson(value);
      const reversed = JSON.parse(JSON.stringify(value), (_, inner: unknown) =>
        typeof inner === 'object' && inner !== null && !Array.isArray(inner) ? Object.fromEntries(Object.entries(inner).reverse()) : inner,
      ) as unknown;
      expect(canonicalJson(reversed)).toBe(text);
      expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
    }),
  );
  expect(canonicalJson({ b: [1, 'ä', null], a: { d: 1e21, c: -0 } })).toBe('{"a":{"c":0,"d":1e+21},"b":[1,"ä",null]}');
  expect(() => canonicalJson({ a: { b: undefined } })).toThrow('.a.b cannot be written as JSON: undefined');
});
