import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { listTree, readLines, repository } from './tree.ts';

interface Line {
  number: number;
  text: string;
  /** Inside a fenced block: shown as it is, so that it has no links and no headings. */
  isCode: boolean;
}

/**
 * What the documentation points to is there: files and headings behind its links, scripts behind `npm run`.
 *
 * @returns one `file:line: problem` per link or command that leads nowhere
 */
export function checkDocs(root = repository): string[] {
  return listTree(root, ['.md']).flatMap((file) =>
    readMarkdown(root, file).flatMap((line) => {
      const problems = [...(line.isCode ? [] : brokenLinks(root, file, line.text)), ...unknownScripts(root, file, line.text)];
      return problems.map((problem) => `${file}:${line.number}: ${problem}`);
    }),
  );
}

function brokenLinks(root: string, file: string, text: string): string[] {
  const prose = text.replace(/`[^`]*`/g, (code) => ' '.repeat(code.length));
  const targets = [...prose.matchAll(/\]\(\s*<?([^()\s>]+)>?[^()]*\)/g), ...prose.matchAll(/^\s*\[[^\]]+\]:\s+<?([^\s>]+)/g)];
  return targets.flatMap(([, target]) => {
    if (target === undefined || /^[a-z][a-z0-9+.-]*:/i.test(target)) return [];
    const [place = '', heading] = target.split('#');
    const linked = place === '' ? file : path.posix.join(path.posix.dirname(file), decodeURIComponent(place));
    if (!existsSync(path.join(root, linked))) return [`the link to ${target} leads nowhere: there is no ${linked}`];
    if (heading !== undefined && linked.endsWith('.md') && !headingsOf(root, linked).has(heading.toLowerCase()))
      return [`the link to ${target} leads nowhere: ${linked} has no heading #${heading}`];
    return [];
  });
}

function unknownScripts(root: string, file: string, text: string): string[] {
  return [...text.matchAll(/\bnpm run ([\w:-]*\w)/g)].flatMap(([command, script = '']) => {
    const manifest = nearestManifest(root, file);
    const { scripts } = JSON.parse(readFileSync(path.join(root, manifest), 'utf8')) as { scripts?: Record<string, string> };
    return script in (scripts ?? {}) ? [] : [`\`${command}\`: ${manifest} has no script ${script}`];
  });
}

/** The package that a page tells about is the one it lies in. */
function nearestManifest(root: string, file: string): string {
  for (let folder = path.posix.dirname(file); folder !== '.'; folder = path.posix.dirname(folder)) {
    const manifest = `${folder}/package.json`;
    if (existsSync(path.join(root, manifest))) return manifest;
  }
  return 'package.json';
}

/** The anchors that a forge makes of the headings of a page. */
function headingsOf(root: string, file: string): Set<string> {
  const anchors = new Set<string>();
  for (const { text, isCode } of readMarkdown(root, file)) {
    const heading = isCode ? undefined : /^#{1,6}\s+(.*?)\s*#*$/.exec(text)?.[1];
    if (heading === undefined) continue;
    const words = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase();
    const anchor = words.replace(/[^\p{L}\p{N}_ -]/gu, '').replaceAll(' ', '-');
    let unique = anchor;
    for (let copy = 1; anchors.has(unique); copy += 1) unique = `${anchor}-${copy}`;
    anchors.add(unique);
  }
  return anchors;
}

function readMarkdown(root: string, file: string): Line[] {
  let fence: string | undefined;
  return readLines(root, file).map((text, index) => {
    const mark = /^\s*(`{3,}|~{3,})/.exec(text)?.[1];
    const wasCode = fence !== undefined;
    if (mark !== undefined) {
      if (fence === undefined) fence = mark;
      else if (mark.startsWith(fence)) fence = undefined;
    }
    return { number: index + 1, text, isCode: wasCode || fence !== undefined };
  });
}
