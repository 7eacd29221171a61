import { expect, test } from 'vitest';
import { checkPrivateText } from '../../scripts/check/private-text.ts';
import { givenTree } from './support/tree.ts';

// Put together here, so that this file does not hold them.
const home = ['', 'home', 'jsmith', 'src'].join('/');
const rootHome = ['', 'root', 'work'].join('/');
const privateKey = ['-----BEGIN OPENSSH', 'PRIVATE KEY-----'].join(' ');
const token = `ghp_${'a1B2'.repeat(9)}`;

test('paths of a developer and secrets are found, and a secret is not repeated', () => {
  const root = givenTree({ 'a.ts': ['', `const folder = '${home}';`], 'b.md': `see ${rootHome}`, c: privateKey, d: `token=${token}` });
  expect(checkPrivateText(root)).toEqual([
    `a.ts:2: a path in a developer's home folder: ${home.slice(0, -4)}`,
    `b.md:1: a path in root's home folder: ${rootHome}`,
    'c:1: a private key',
    'd:1: a token of a forge',
  ]);
});

test('example users, home folders by tilde and paths that only look alike are left alone', () => {
  const root = givenTree({ 'a.md': ['/home/you/project', '~/root/x', 'https://example.org/home/page', 'refs/root/1', '/home/<user>/'] });
  expect(checkPrivateText(root)).toEqual([]);
});
