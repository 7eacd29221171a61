import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSecretBox } from '@helixcode/server/auth/secret-box';
import { afterEach, beforeEach, expect, test } from 'vitest';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'helix-secrets-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

test('what is sealed can be opened by whoever has the key file, also later', async () => {
  const sealed = (await openSecretBox(folder)).seal('worker:a', 'pässword');

  expect((await openSecretBox(folder)).open('worker:a', sealed)).toBe('pässword');
  expect(sealed.includes('pässword')).toBe(false);
});

test('sealing the same twice gives nothing away', async () => {
  const box = await openSecretBox(folder);
  expect(box.seal('a', 'same').equals(box.seal('a', 'same'))).toBe(false);
});

test('a secret opens only under its own name, unaltered, and with its own key', async () => {
  const box = await openSecretBox(folder);
  const sealed = box.seal('worker:a', 'secret');
  const altered = Buffer.from(sealed);
  altered[altered.length - 1] = (altered.at(-1) ?? 0) ^ 1;

  expect(() => box.open('worker:b', sealed)).toThrow('worker:b');
  expect(() => box.open('worker:a', altered)).toThrow('not sealed with the key');
  rmSync(join(folder, 'secret.key'));
  await expect(async () => (await openSecretBox(folder)).open('worker:a', sealed)).rejects.toThrow('not sealed with the key');
});

test('the key file can be read by its user only, and two that start at once share one', async () => {
  const boxes = await Promise.all([openSecretBox(folder), openSecretBox(folder), openSecretBox(folder)]);

  expect(statSync(join(folder, 'secret.key')).mode & 0o777).toBe(0o600);
  expect(boxes.map((box) => box.open('a', (boxes[0] ?? box).seal('a', 'x')))).toEqual(['x', 'x', 'x']);
});

test('a key file that is none is refused, not replaced', async () => {
  writeFileSync(join(folder, 'secret.key'), 'short');
  chmodSync(join(folder, 'secret.key'), 0o600);
  await expect(openSecretBox(folder)).rejects.toThrow('32 bytes');
});
