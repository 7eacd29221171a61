import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { loadConfig } from '@helixcode/server/config';
import { expect, onTestFinished, test } from 'vitest';

function givenFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'helix-config-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

test('helix.json of the data folder is read, and the environment goes over it', () => {
  const home = givenFolder();
  writeFileSync(path.join(home, 'helix.json'), '{ "clients": { "port": 8000 }, "workers": { "local": false } }');
  const loaded = loadConfig({ home, env: { HELIX_PORT: '0' } });
  expect(loaded).toMatchObject({
    dataFolder: home,
    file: path.join(home, 'helix.json'),
    config: { clients: { port: 0 }, workers: { local: false } },
  });
  expect(loaded.values).toContainEqual({ key: 'global.dataFolder', value: home, origin: 'argument' });
});

test('a data folder named in a file starts from the file', () => {
  const folder = givenFolder();
  mkdirSync(path.join(folder, 'etc'));
  writeFileSync(path.join(folder, 'etc', 'helix.json'), '{ "global": { "dataFolder": "../state" } }');
  expect(loadConfig({ file: 'etc/helix.json', cwd: folder, env: {} }).dataFolder).toBe(path.join(folder, 'state'));
  expect(loadConfig({ file: 'etc/helix.json', cwd: folder, env: { HELIX_HOME: path.join(folder, 'other') } }).dataFolder).toBe(
    path.join(folder, 'other'),
  );
});

test('a named file that does not exist is refused by name', () => {
  const folder = givenFolder();
  expect(() => loadConfig({ file: 'helix.json', cwd: folder, env: {} })).toThrow(`the configuration ${folder}/helix.json cannot be read`);
});

test.each([
  ['outputDays', -1, 'expected a number from 0 to 36500'],
  ['eventDays', 1e9, 'expected a number from 0 to 36500'],
  ['blobBytes', 1.5, 'expected a whole number of at least 0'],
  ['outputDays', '30', 'expected a number from 0 to 36500'],
  ['sweepMs', 0, 'expected a whole number from 1000 to 86400000'],
  ['outputdays', 30, 'did you mean outputDays?'],
])('retention.%s of %j is refused by its name', (key, value, said) => {
  const home = givenFolder();
  writeFileSync(path.join(home, 'helix.json'), JSON.stringify({ retention: { [key]: value } }));
  expect(() => loadConfig({ home, env: {} })).toThrow(new RegExp(`retention.*${key}.*${said.replace('?', '\\?')}`));
});
