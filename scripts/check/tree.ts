import { execFileSync } from 'node:child_process';
import { lstatSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** The checkout that these scripts are part of. */
export const repository = path.resolve(import.meta.dirname, '../..');

/**
 * The files of a checkout, relative to its root and in order: what git tracks, and what it would track.
 *
 * Symbolic links and files that are deleted but not yet committed as such are left out.
 *
 * @param suffixes how a name may end; all files when empty
 */
export function listTree(root: string, suffixes: string[] = []): string[] {
  const listing = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  return [...new Set(listing.split('\0'))]
    .filter((file) => file !== '' && (suffixes.length === 0 || suffixes.some((suffix) => file.endsWith(suffix))))
    .filter((file) => lstatSync(path.join(root, file), { throwIfNoEntry: false })?.isFile())
    .sort();
}

/** The lines of a file of the tree; none when it is not text. */
export function readLines(root: string, file: string): string[] {
  const content = readFileSync(path.join(root, file), 'utf8');
  return content.includes('\0') ? [] : content.split('\n');
}

/** The line, from 1, that holds the character at `index`. */
export function lineAt(text: string, index: number): number {
  return text.slice(0, index).split('\n').length;
}
