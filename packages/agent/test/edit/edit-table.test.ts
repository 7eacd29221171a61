import { chmod, mkdir, readFile, readlink, stat, symlink, unlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { runCall } from '../../src/tools/run-call.ts';
import type { ToolOutcome } from '../../src/tools/tool.ts';
import { givenWorkspace, type LocalWorkspace } from '../support/local-workspace.ts';
import { quietHost } from '../support/quiet-host.ts';

type Content = string | Uint8Array;

interface Case {
  name: string;
  file: Content;
  old: string;
  new: string;
  /** What the file is afterwards; absent: it stays as it is, and the edit is refused. */
  becomes?: Content;
  /** What the result says. */
  says: RegExp;
}

const EXACT = /\(exact match\)/;
const LOOSE = /\(matched whole lines but for white space\)/;
const ABSENT = /was not changed: the text is not in the file/;
const BOM = '\uFEFF';
const long = (length: number): string => Array.from({ length }, (_, index) => 'abcdefghij'[(index * 7 + (index >> 4)) % 10]).join('');
const lineOf = (characters: number): string => long(characters);
const latin1 = (text: string): Uint8Array => Buffer.from(text, 'latin1');

const CASES: Case[] = [
  // Exact
  { name: 'one word', file: 'const a = 1;\n', old: 'a = 1', new: 'b = 2', becomes: 'const b = 2;\n', says: EXACT },
  { name: 'the whole file', file: 'all', old: 'all', new: 'none', becomes: 'none', says: EXACT },
  { name: 'the first bytes', file: 'ab\ncd\n', old: 'a', new: 'x', becomes: 'xb\ncd\n', says: EXACT },
  { name: 'the last bytes', file: 'ab\ncd', old: 'd', new: 'x', becomes: 'ab\ncx', says: EXACT },
  {
    name: 'several lines',
    file: '1\n2\n3\n4\n',
    old: '2\n3\n',
    new: 'two\nthree\n',
    becomes: '1\ntwo\nthree\n4\n',
    says: /lines 2-3 \(exact/,
  },
  { name: 'lines that go', file: '1\n2\n3\n', old: '2\n', new: '', becomes: '1\n3\n', says: EXACT },
  { name: 'everything goes', file: '1\n', old: '1\n', new: '', becomes: '', says: EXACT },
  { name: 'lines that come', file: '1\n3\n', old: '1\n', new: '1\n2\n', becomes: '1\n2\n3\n', says: EXACT },
  {
    name: 'a part of one line to a part of the next',
    file: 'f(a,\n  b)\n',
    old: 'a,\n  b',
    new: 'a, b',
    becomes: 'f(a, b)\n',
    says: EXACT,
  },
  {
    name: 'what looks like a pattern',
    file: 'x = /a.*b/;\nx = /aXXb/;\n',
    old: '/a.*b/',
    new: '/c/',
    becomes: 'x = /c/;\nx = /aXXb/;\n',
    says: EXACT,
  },
  {
    name: 'a new text with what a replacement could mean',
    file: 'price\n',
    old: 'price',
    new: '$& $1 $$ $`',
    becomes: '$& $1 $$ $`\n',
    says: EXACT,
  },
  { name: 'a backslash stays one', file: 'a\\nb\n', old: 'a\\nb', new: 'a\\\\nb', becomes: 'a\\\\nb\n', says: EXACT },
  { name: 'exact goes before loose', file: '  x();\nx();\n', old: '  x();', new: '  y();', becomes: '  y();\nx();\n', says: EXACT },
  // Not there, or nothing to do
  { name: 'a text that is not there', file: 'alpha\nbeta\n', old: 'gamma delta epsilon', new: 'x', says: ABSENT },
  { name: 'a text in other letters', file: 'Hello World\n', old: 'hello world', new: 'x', says: ABSENT },
  {
    name: 'a text with one letter wrong',
    file: 'return total + tax;\n',
    old: 'return total - tax;',
    new: 'return 0;',
    says: /nearest is line 1:\n1 \| return total \+ tax;/,
  },
  { name: 'a text with a line too many', file: 'a();\nb();\n', old: 'a();\nb();\nc();', new: 'x', says: ABSENT },
  {
    name: 'a text with a line left out',
    file: 'first();\nsecond();\nthird();\n',
    old: 'first();\nthird();',
    new: 'x',
    says: /Line 2 differs; the asked text has: third\(\);/,
  },
  {
    name: 'an ellipsis that stands for lines',
    file: 'start();\nmiddle();\nend();\n',
    old: 'start();\n...\nend();',
    new: 'x',
    says: ABSENT,
  },
  { name: 'an empty text', file: 'a\n', old: '', new: 'x', says: /is empty; use write/ },
  { name: 'an empty text in an empty file', file: '', old: '', new: 'x', says: /is empty; use write/ },
  { name: 'any text in an empty file', file: '', old: 'a', new: 'x', says: ABSENT },
  { name: 'a text replaced by itself', file: 'a\n', old: 'a', new: 'a', says: /nothing would change/ },
  {
    name: 'a text that the file already has, otherwise indented',
    file: '\tif (ok) {\n\t}\n',
    old: '  if (ok) {\n  }',
    new: 'if (ok) {\n}',
    says: /./,
  },
  { name: 'a blank text', file: 'a\n\n\nb\n', old: '\n \n', new: 'x', says: ABSENT },
  // Repeated
  {
    name: 'a word that is there twice',
    file: 'x = 1;\ny = 1;\n',
    old: '= 1',
    new: '= 2',
    says: /is there 2 times, at lines 1, 2; add lines/,
  },
  { name: 'a word twice in one line', file: 'a a\n', old: 'a', new: 'b', says: /is there 2 times, at lines 1, 1/ },
  { name: 'a text that overlaps itself', file: 'aaa\n', old: 'aa', new: 'b', says: /is there 2 times/ },
  {
    name: 'a repeated line with a line that tells which',
    file: 'a:\n  run()\nb:\n  run()\n',
    old: 'b:\n  run()',
    new: 'b:\n  stop()',
    becomes: 'a:\n  run()\nb:\n  stop()\n',
    says: EXACT,
  },
  {
    name: 'a line repeated a thousand times',
    file: 'same\n'.repeat(1_000),
    old: 'same',
    new: 'x',
    says: /is there 100 times, at lines 1, 2, .*…/,
  },
  {
    name: 'a repeated line, otherwise indented',
    file: '  stop();\n    stop();\n',
    old: '\tstop();',
    new: '\tgo();',
    says: /2 times, when indentation is not looked at, at lines 1, 2/,
  },
  // White space
  {
    name: 'white space at the end of a line in the file',
    file: 'a();  \nb();\n',
    old: 'a();\nb();',
    new: 'c();\nd();',
    becomes: 'c();\nd();\n',
    says: LOOSE,
  },
  {
    name: 'white space at the end of a line in the asked text',
    file: 'a();\nb();\n',
    old: 'a();\t \nb();',
    new: 'c();',
    becomes: 'c();\n',
    says: LOOSE,
  },
  {
    name: 'less indentation asked for',
    file: 'class A {\n    go() {\n        run();\n    }\n}\n',
    old: 'go() {\n    run();\n}',
    new: 'go() {\n    stop();\n}',
    becomes: 'class A {\n    go() {\n        stop();\n    }\n}\n',
    says: /indented by 4 space\(s\) more, and so is what was written/,
  },
  {
    name: 'more indentation asked for',
    file: 'go() {\n  run();\n}\n',
    old: '    go() {\n      run();\n    }',
    new: '    go() {\n      stop();\n    }',
    becomes: 'go() {\n  stop();\n}\n',
    says: /indented by 4 space\(s\) less/,
  },
  {
    name: 'tabs in the file, spaces asked for',
    file: 'if x:\n\tif y:\n\t\tgo()\n',
    old: '    if y:\n        go()',
    new: '    if z:\n        if w:\n            stop()',
    becomes: 'if x:\n\tif z:\n\t\tif w:\n\t\t\tstop()\n',
    says: /indented by tabs, 4 spaces each/,
  },
  {
    name: 'spaces in the file, tabs asked for',
    file: 'if x:\n  if y:\n    go()\n',
    old: '\tif y:\n\t\tgo()',
    new: '\tif y:\n\t\tstop()',
    becomes: 'if x:\n  if y:\n    stop()\n',
    says: /indented by 2 spaces/,
  },
  {
    name: 'an indentation of one tab more',
    file: '\tfoo();\n\t\tbar();\n',
    old: 'foo();\n\tbar();',
    new: 'foo();\n\tbaz();',
    becomes: '\tfoo();\n\t\tbaz();\n',
    says: /1 tab\(s\) more/,
  },
  {
    name: 'a difference of indentation that is not the same in all lines',
    file: 'a:\n  b:\n   c\n',
    old: 'a:\n b:\n  c',
    new: 'a:\n b:\n  d',
    says: /is indented otherwise, and not all lines are by the same/,
  },
  {
    name: 'a new line with less indentation than can be taken away',
    file: 'go();\nrun();\n',
    old: '  go();\n  run();',
    new: '  go();\nrun();',
    says: /cannot be indented like it for sure/,
  },
  {
    name: 'spaces that are no whole tabs',
    file: '\tgo();\n\t\trun();\n',
    old: '    go();\n        run();',
    new: '    go();\n      run();',
    says: /cannot be indented like it for sure/,
  },
  { name: 'white space inside of a line', file: 'a  =  1\n', old: 'a = 1', new: 'a = 2', says: ABSENT },
  {
    name: 'a blank line with white space in it',
    file: 'a();\n  \nb();\n',
    old: 'a();\n\nb();',
    new: 'a();\n\nc();',
    becomes: 'a();\n\nc();\n',
    says: LOOSE,
  },
  { name: 'a blank line that is not there', file: 'a();\nb();\n', old: 'a();\n\nb();', new: 'x', says: ABSENT },
  {
    name: 'blank lines stay blank where lines are indented',
    file: '    a();\n\n    b();\n',
    old: 'a();\n\nb();',
    new: 'a();\n\nc();',
    becomes: '    a();\n\n    c();\n',
    says: LOOSE,
  },
  { name: 'a half line does not match loosely', file: '\tx = compute( a,\n\t\tb );\n', old: 'compute( a,\n  b );', new: 'y', says: ABSENT },
  // Line ends
  { name: 'a word in a file of CRLF', file: 'a\r\nb\r\n', old: 'b', new: 'c', becomes: 'a\r\nc\r\n', says: EXACT },
  {
    name: 'a word becomes two lines in a file of CRLF',
    file: 'a\r\nb\r\n',
    old: 'b',
    new: 'c\nd',
    becomes: 'a\r\nc\r\nd\r\n',
    says: /exact match\); line ends written as CRLF/,
  },
  {
    name: 'lines of LF asked for in a file of CRLF',
    file: 'a\r\nb\r\nc\r\n',
    old: 'a\nb\n',
    new: 'x\ny\n',
    becomes: 'x\r\ny\r\nc\r\n',
    says: LOOSE,
  },
  {
    name: 'parts of lines in a file of CRLF',
    file: 'f(a,\r\n  b)\r\n',
    old: 'a,\n  b',
    new: 'a,\n  c',
    becomes: 'f(a,\r\n  c)\r\n',
    says: LOOSE,
  },
  { name: 'a line end in front, in a file of CRLF', file: 'a\r\nb\r\n', old: '\nb', new: '\nc', becomes: 'a\r\nc\r\n', says: LOOSE },
  { name: 'a line end that goes leaves no half of it', file: 'a\r\nb\r\n', old: '\nb', new: 'c', becomes: 'ac\r\n', says: LOOSE },
  { name: 'lines of CRLF asked for in a file of LF', file: 'a\nb\n', old: 'a\r\nb', new: 'c\r\nd', becomes: 'c\nd\n', says: LOOSE },
  { name: 'mixed line ends outside stay mixed', file: 'a\r\nb\nc\r\n', old: 'b', new: 'x', becomes: 'a\r\nx\nc\r\n', says: EXACT },
  { name: 'a lone carriage return is no line end', file: 'a\rb\n', old: 'a\nb', new: 'x', says: ABSENT },
  // The end of the file
  { name: 'a missing last line end stays missing', file: 'a\nb', old: 'b', new: 'c', becomes: 'a\nc', says: EXACT },
  {
    name: 'a last line end that was asked for and is missing is not put there',
    file: 'a\nb',
    old: 'b\n',
    new: 'c\n',
    becomes: 'a\nc',
    says: LOOSE,
  },
  { name: 'several last line ends stay', file: 'a\n\n\n', old: 'a', new: 'b', becomes: 'b\n\n\n', says: EXACT },
  // Byte order mark and encodings
  { name: 'a byte order mark stays, exact', file: `${BOM}a\nb\n`, old: 'a\n', new: 'x\n', becomes: `${BOM}x\nb\n`, says: EXACT },
  {
    name: 'a byte order mark stays, loose',
    file: `${BOM}  a();\n  b();\n`,
    old: 'a();\nb();',
    new: 'c();\nd();',
    becomes: `${BOM}  c();\n  d();\n`,
    says: LOOSE,
  },
  { name: 'a byte order mark and CRLF', file: `${BOM}a\r\nb\r\n`, old: 'a\nb', new: 'a\nc', becomes: `${BOM}a\r\nc\r\n`, says: LOOSE },
  {
    name: 'a file that is no UTF-8 keeps its bytes',
    file: latin1('caf\xe9 = 1\nth\xe9 = 2\n'),
    old: '= 2',
    new: '= 3',
    becomes: latin1('caf\xe9 = 1\nth\xe9 = 3\n'),
    says: EXACT,
  },
  {
    name: 'loose in a file that is no UTF-8',
    file: latin1('\xe9\n  go();  \n\xff\n'),
    old: 'go();',
    new: 'run();',
    becomes: latin1('\xe9\n  run();  \n\xff\n'),
    says: EXACT,
  },
  { name: 'letters of several bytes', file: 'größe = "日本語 🙂"\n', old: '日本語 🙂', new: '🙃', becomes: 'größe = "🙃"\n', says: EXACT },
  { name: 'half of a letter', file: '🙂\n', old: '\ud83d', new: 'x', says: /half a character/ },
  { name: 'half of a letter to be written', file: 'a\n', old: 'a', new: '\ude42', says: /half a character/ },
  { name: 'a replacement character is itself only', file: latin1('a\xffb\n'), old: 'a\ufffdb', new: 'x', says: ABSENT },
  // Look-alikes
  {
    name: 'a curly apostrophe in the file',
    file: 'it\u2019s here now\n',
    old: "it's here now",
    new: 'x',
    says: /Line 1 only looks the same: the file has U\+2019 \(’\) where the asked text has U\+0027/,
  },
  {
    name: 'curly quotes in the asked text',
    file: 'say("yes")\n',
    old: 'say(\u201cyes\u201d)',
    new: 'x',
    says: /U\+0022 .* where the asked text has U\+201C/,
  },
  { name: 'a long dash', file: 'pages 1\u20132 of it\n', old: 'pages 1-2 of it', new: 'x', says: /U\+2013/ },
  { name: 'a space that does not break', file: 'a\u00a0= 1;\n', old: 'a = 1;', new: 'x', says: /U\+00A0 where the asked text has U\+0020/ },
  {
    name: 'a space that does not break is no indentation',
    file: '\u00a0\u00a0go();\nrun();\n',
    old: '  go();\nrun();',
    new: 'x',
    says: ABSENT,
  },
  { name: 'a letter of no width', file: 'user\u200bName = 1;\n', old: 'userName = 1;', new: 'x', says: /U\+200B/ },
  { name: 'a Cyrillic letter', file: 'const p\u0430ss = 1;\n', old: 'const pass = 1;', new: 'x', says: /U\+0430/ },
  { name: 'an accent as a letter of its own', file: 'cafe\u0301 = 1;\n', old: 'caf\u00e9 = 1;', new: 'x', says: /only looks the same/ },
  {
    name: 'a look-alike beside the asked text does not matter',
    file: '\u201cquoted\u201d and plain\n',
    old: 'plain',
    new: 'bold',
    becomes: '\u201cquoted\u201d and bold\n',
    says: EXACT,
  },
  // Large
  {
    name: 'a line of two million letters',
    file: `${lineOf(1_000_000)}NEEDLE${lineOf(1_000_000)}\nend\n`,
    old: 'NEEDLE',
    new: 'x',
    becomes: `${lineOf(1_000_000)}x${lineOf(1_000_000)}\nend\n`,
    says: EXACT,
  },
  {
    name: 'a text that is not in a line of two million letters',
    file: `${lineOf(2_000_000)}\n`,
    old: 'NEEDLE IN HAY',
    new: 'x',
    says: ABSENT,
  },
  {
    name: 'a line among a hundred thousand',
    file: Array.from({ length: 100_000 }, (_, index) => `line ${index};`).join('\n'),
    old: 'line 77777;',
    new: 'here;',
    becomes: Array.from({ length: 100_000 }, (_, index) => (index === 77_777 ? 'here;' : `line ${index};`)).join('\n'),
    says: /line 77778 \(exact/,
  },
  {
    name: 'a million spaces in a line',
    file: `a${' '.repeat(1_000_000)}b\nend\n`,
    old: '  end  ',
    new: '  x',
    becomes: `a${' '.repeat(1_000_000)}b\nx\n`,
    says: /./,
  },
  {
    name: 'a long nearest line is shown in part',
    file: `start ${lineOf(5_000)}\n`,
    old: 'start of something else entirely that is long',
    new: 'x',
    says: ABSENT,
  },
  // Binary
  { name: 'a binary file', file: Buffer.from([0x7f, 0x45, 0x4c, 0x46, 0, 1, 2, 0x61]), old: 'a', new: 'b', says: /binary file/ },
  { name: 'a file of UTF-16', file: Buffer.from('\uFEFFhello', 'utf16le'), old: 'hello', new: 'x', says: /binary file, or one in UTF-16/ },
  { name: 'a zero byte at the end of a text', file: `${'text\n'.repeat(5_000)}\0`, old: 'text\n\0', new: 'x', says: /binary file/ },
];

// The one case whose asked text is there, otherwise indented, and whose new text is the same once it is indented so.
const SAME_ONCE_INDENTED = CASES.findIndex(({ name }) => name === 'a text that the file already has, otherwise indented');
CASES[SAME_ONCE_INDENTED] = {
  name: 'a text that the file already has once it is indented',
  file: '\tgo();\n\trun();\n',
  old: '    go();\n    run(); ',
  new: '    go();\n    run();',
  says: /what the file has there: nothing would change/,
};

async function edit(workspace: LocalWorkspace, old: string, replacement: string, name = 'file.txt'): Promise<ToolOutcome> {
  return runCall(
    { tool: 'edit', input: { path: name, old, new: replacement } },
    { workspace, host: quietHost(), seen: {}, instructedFolders: [''], isPlanning: false, signal: new AbortController().signal },
  );
}

const contentOf = (workspace: LocalWorkspace, name = 'file.txt'): Promise<Buffer> => readFile(path.join(workspace.root, name));

describe('an edit changes the one place that was meant, or nothing', () => {
  test.each(CASES)('$name', async ({ file, old, new: replacement, becomes, says }) => {
    await using workspace = await givenWorkspace({ 'file.txt': file });

    const outcome = await edit(workspace, old, replacement);

    const after = await contentOf(workspace);
    expect(Buffer.compare(after, Buffer.from(becomes ?? file)), `${outcome.text.slice(0, 300)}\n${after.toString().slice(0, 300)}`).toBe(0);
    expect(outcome.isError).toBe(becomes === undefined);
    expect(outcome.text).toMatch(says);
  });

  test('the table has at least sixty cases', () => {
    expect(new Set(CASES.map(({ name }) => name)).size).toBe(CASES.length);
    expect(CASES.length).toBeGreaterThanOrEqual(60);
  });
});

describe('an edit and what a file may be', () => {
  test('a link inside of the workspace is followed, and stays a link', async () => {
    await using workspace = await givenWorkspace({ 'real/target.txt': 'a\n' });
    await symlink('real/target.txt', path.join(workspace.root, 'file.txt'));

    expect(await edit(workspace, 'a', 'b')).toMatchObject({ isError: false });

    expect(await readlink(path.join(workspace.root, 'file.txt'))).toBe('real/target.txt');
    expect(String(await contentOf(workspace, 'real/target.txt'))).toBe('b\n');
  });

  test('a link that leads out of the workspace is refused, and what it leads to stays as it is', async () => {
    await using workspace = await givenWorkspace();
    await using outside = await givenWorkspace({ 'secret.txt': 'a\n' });
    await symlink(path.join(outside.root, 'secret.txt'), path.join(workspace.root, 'file.txt'));

    expect(await edit(workspace, 'a', 'b')).toMatchObject({ isError: true, text: expect.stringContaining('leads out of the workspace') });

    expect(String(await contentOf(outside, 'secret.txt'))).toBe('a\n');
  });

  test('a file in a linked folder outside of the workspace is refused', async () => {
    await using workspace = await givenWorkspace();
    await using outside = await givenWorkspace({ 'secret.txt': 'a\n' });
    await symlink(outside.root, path.join(workspace.root, 'folder'));

    expect(await edit(workspace, 'a', 'b', 'folder/secret.txt')).toMatchObject({ isError: true });

    expect(String(await contentOf(outside, 'secret.txt'))).toBe('a\n');
  });

  test('a link to nothing is refused, and nothing is made', async () => {
    await using workspace = await givenWorkspace();
    await symlink('nowhere.txt', path.join(workspace.root, 'file.txt'));

    expect(await edit(workspace, 'a', 'b')).toMatchObject({ isError: true });

    await expect(stat(path.join(workspace.root, 'nowhere.txt'))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('a folder is refused', async () => {
    await using workspace = await givenWorkspace({ 'file.txt/inner': 'a' });
    expect(await edit(workspace, 'a', 'b')).toMatchObject({ isError: true, text: expect.stringContaining('is a folder') });
  });

  test('a file that is not there is answered with the one that was probably meant', async () => {
    await using workspace = await givenWorkspace({ 'src/invoice.ts': 'a' });
    expect(await edit(workspace, 'a', 'b', 'src/invoce.ts')).toMatchObject({
      isError: true,
      text: expect.stringContaining('did you mean src/invoice.ts?'),
    });
  });

  test.each(['../file.txt', '/etc/hosts', 'a/../../file.txt', '.git/config', 'sub/.GIT/hooks/pre-commit', 'a\0b'])(
    'the path %j is refused',
    async (name) => {
      await using workspace = await givenWorkspace({ 'file.txt': 'a' });
      await mkdir(path.join(workspace.root, '.git'));
      await writeFile(path.join(workspace.root, '.git/config'), 'a');

      expect(await edit(workspace, 'a', 'b', name)).toMatchObject({
        isError: true,
        text: expect.stringContaining('use a path relative to the workspace'),
      });

      expect(String(await contentOf(workspace, '.git/config'))).toBe('a');
    },
  );

  test('a path as a command printed it, with the workspace in front, is the same file', async () => {
    await using workspace = await givenWorkspace({ 'file.txt': 'a' });
    expect(await edit(workspace, 'a', 'b', path.join(workspace.root, './file.txt'))).toMatchObject({ isError: false });
    expect(String(await contentOf(workspace))).toBe('b');
  });

  test('the mode of a file stays', async () => {
    await using workspace = await givenWorkspace({ 'file.txt': '#!/bin/sh\n' });
    await chmod(path.join(workspace.root, 'file.txt'), 0o755);

    await edit(workspace, 'sh', 'bash');

    expect((await stat(path.join(workspace.root, 'file.txt'))).mode & 0o777).toBe(0o755);
  });

  test('a file that was changed while it was edited keeps that change', async () => {
    await using workspace = await givenWorkspace({ 'file.txt': 'a\nb\n' });
    const racing: LocalWorkspace = {
      ...workspace,
      readFile: async (name, maxBytes) => {
        const content = await workspace.readFile(name, maxBytes);
        await writeFile(path.join(workspace.root, name), 'a\nsomebody else\n');
        return content;
      },
    };

    expect(await edit(racing, 'a', 'x')).toMatchObject({ isError: true, text: expect.stringContaining('was changed in the meantime') });

    expect(String(await contentOf(workspace))).toBe('a\nsomebody else\n');
  });

  test('a file that was deleted while it was edited stays deleted', async () => {
    await using workspace = await givenWorkspace({ 'file.txt': 'a\n' });
    const racing: LocalWorkspace = {
      ...workspace,
      readFile: async (name, maxBytes) => {
        const content = await workspace.readFile(name, maxBytes);
        await unlink(path.join(workspace.root, name));
        return content;
      },
    };

    expect(await edit(racing, 'a', 'x')).toMatchObject({ isError: true });

    await expect(stat(path.join(workspace.root, 'file.txt'))).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
