import { expect, test } from 'vitest';
import { checkDocs } from '../../scripts/check/docs.ts';
import { givenTree } from './support/tree.ts';

const manifest = JSON.stringify({ scripts: { test: 'true', 'test:slow': 'true' } });

test('links to files, headings and elsewhere are in order, and code is no link', () => {
  const root = givenTree({
    'package.json': manifest,
    'README.md': [
      '# How it works, in short',
      'See [workers](docs/workers.md#a-bare-host-busybox), [this](#how-it-works-in-short), [the site](https://example.org/nowhere) and `[x](y)`.',
      '```',
      '[not](a-link.md)',
      '```',
      'Run `npm run test:slow`.',
    ],
    'docs/workers.md': ['## A bare host (`busybox`)', '[back](../README.md) and [its folder](.)'],
  });
  expect(checkDocs(root)).toEqual([]);
});

test('a link or a command that leads nowhere is told with its line', () => {
  const root = givenTree({
    'package.json': manifest,
    'docs/a.md': ['[b](b.md)', '[there](../docs/a.md#there)', '', '[c]: ./c.md', '```sh', 'npm run tset', '```'],
  });
  expect(checkDocs(root)).toEqual([
    'docs/a.md:1: the link to b.md leads nowhere: there is no docs/b.md',
    'docs/a.md:2: the link to ../docs/a.md#there leads nowhere: docs/a.md has no heading #there',
    'docs/a.md:4: the link to ./c.md leads nowhere: there is no docs/c.md',
    'docs/a.md:6: `npm run tset`: package.json has no script tset',
  ]);
});

test('a page in an example speaks of the scripts of the example', () => {
  const root = givenTree({
    'package.json': manifest,
    'examples/shop/package.json': JSON.stringify({ scripts: { open: 'true' } }),
    'examples/shop/README.md': '`npm run open`, `npm run test`',
  });
  expect(checkDocs(root)).toEqual(['examples/shop/README.md:1: `npm run test`: examples/shop/package.json has no script test']);
});
