import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { givenEmptyDatabase } from '../../server/test/support/database.ts';
import { givenCheckout, givenFolder, type Ran, runHelix } from './support.ts';

let home: string;
let env: NodeJS.ProcessEnv;
let database: { url: string; drop(): Promise<void> };

const helix = (args: readonly string[], cwd?: string, more: NodeJS.ProcessEnv = {}): Promise<Ran> =>
  runHelix(args, { env: { ...env, ...more }, ...(cwd !== undefined && { cwd }) });

beforeAll(async () => {
  database = await givenEmptyDatabase();
  home = mkdtempSync(path.join(tmpdir(), 'helix-cli-receipts-'));
  env = { HELIX_HOME: home, HELIX_PORT: '0', DATABASE_URL: database.url, HELIX_WORKERS_LOCAL_SLOTS: '2' };
  const up = await helix(['up']);
  expect(up, up.stderr).toMatchObject({ status: 0 });
}, 120_000);

afterAll(async () => {
  const down = await helix(['down', '--workers']);
  expect(down, down.stderr).toMatchObject({ status: 0 });
  await database.drop();
  rmSync(home, { recursive: true, force: true, maxRetries: 5 });
}, 120_000);

test('a suite that passed has a receipt at its tree, which is verified without the server; a changed one is refused [F1]', async () => {
  const checkout = givenCheckout();
  checkout.write({
    'package.json': '{ "name": "sample", "type": "module", "scripts": { "test": "node --test" } }',
    'test/a.test.js': "import { test } from 'node:test'; test('passes', () => {});\n",
    'test/b.test.js': "import { test } from 'node:test'; test('passes too', () => {});\n",
  });
  checkout.commitAll();
  const ran = await helix(['--json', 'test'], checkout.folder);
  const { task } = JSON.parse(ran.stdout) as { task: string };

  const shown = await helix(['receipts', 'show', task]);
  const signed = JSON.parse(shown.stdout) as { receipt: { id: string; tests: unknown; tree: string } };
  expect(signed.receipt).toMatchObject({
    task,
    kind: 'test',
    command: 'node-test',
    commit: checkout.git('rev-parse', 'HEAD'),
    tree: checkout.git('rev-parse', 'HEAD^{tree}'),
    tests: { units: 2, tests: 2, passed: 2, failed: 0 },
    parts: { exitCodes: { '0': expect.any(Number) }, workers: [{ name: expect.any(String) }] },
  });
  expect((await helix(['receipts', 'list', '--task', task])).stdout).toMatch(new RegExp(`^${signed.receipt.id}\t${task}\ttest\t`));
  expect(await helix(['receipts', 'verify', task])).toMatchObject({ status: 0 });

  const folder = givenFolder();
  writeFileSync(path.join(folder, 'receipt.json'), shown.stdout);
  writeFileSync(path.join(folder, 'server.pem'), (await helix(['receipts', 'key'])).stdout);
  writeFileSync(path.join(folder, 'other.pem'), generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' }));
  writeFileSync(path.join(folder, 'changed.json'), shown.stdout.replace('"failed": 0', '"failed": 1'));
  writeFileSync(path.join(folder, 'claim.json'), '{"receipt": "all tests pass"}');
  // Another home: no server is known there.
  const offline = (...args: string[]): Promise<Ran> => helix(['receipts', 'verify', ...args], folder, { HELIX_HOME: folder });
  expect(await offline('receipt.json', '--key', 'server.pem')).toMatchObject({
    status: 0,
    stdout: expect.stringContaining('is as the server signed it'),
  });
  for (const args of [
    ['changed.json', '--key', 'server.pem'],
    ['receipt.json', '--key', 'other.pem'],
    ['claim.json', '--key', 'server.pem'],
  ])
    expect(await offline(...args)).toMatchObject({ status: 1, stderr: expect.stringContaining('receipt.forged') });
  expect(await helix(['receipts', 'show', 'rcp_nothing'])).toMatchObject({
    status: 2,
    stderr: expect.stringContaining('receipt.not_found'),
  });
}, 120_000);
