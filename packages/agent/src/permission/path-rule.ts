import { posix } from 'node:path';
import { UNKNOWN, type Word } from './parse-shell.ts';

/**
 * Whether a pattern of a rule speaks of a path. Without a `/` it speaks of names, wherever they are, and of all below a
 * folder of that name; with one, of paths from the workspace on, or from `/` or `~` on.
 *
 * @param path relative to the workspace, or absolute
 * @param root the workspace
 */
export function pathMatches(pattern: string, path: string, root: string): boolean {
  const isName = !pattern.replace(/\/$/, '').includes('/');
  const absolute = path.startsWith('/') || path.startsWith('~') ? posix.normalize(path) : posix.join(root, path);
  const inside = absolute === root ? '' : absolute.startsWith(`${root}/`) ? absolute.slice(root.length + 1) : absolute;
  const expression = patternExpression(pattern.replace(/^\.\//, '').replace(/\/(\*\*)?$/, ''));
  if (!isName) return expression.test(inside) || expression.test(absolute);
  return inside.split('/').some((part) => expression.test(part));
}

/**
 * Whether a pattern of file names in a command could mean a file of this name: `cat .en*` does mean `.env`. One that is
 * all open, such as `*`, is not taken for it.
 */
export function nameMatches(word: Word, name: string): boolean {
  const last = word.pattern?.split('/').at(-1) ?? '';
  if (!/[A-Za-z0-9]/.test(last) || (name.startsWith('.') && !last.startsWith('.'))) return false;
  const source = last
    .replaceAll(/\\(.)/g, (_all, letter: string) => `\uE002${letter}`)
    .replaceAll(/\uE002.|\[!?[^\]]*\]|[\\^$.*+?()[\]{}|]/gs, (part) => {
      if (part.startsWith('\uE002')) return part.slice(1).replace(/[\\^$.*+?()[\]{}|]/, '\\$&');
      if (part === '*') return '.*';
      return part === '?' || part.length > 1 ? '.' : `\\${part}`;
    });
  return new RegExp(`^${source}$`, 's').test(name);
}

/** @returns the paths that an argument names, as far as it can be told: of `--file=x` and `@x` too */
export function pathsIn(word: Word): string[] {
  const { text } = word;
  if (/\s/.test(text) || text === UNKNOWN) return [];
  const parts = [text, text.replace(/^--?[A-Za-z][A-Za-z0-9-]*=/, ''), text.replace(/^@/, ''), text.replace(/^[^=]*=@?/, '')];
  // `host:file` of scp, `commit:file` of git.
  const behindColon = /:([^/:].*)$/.exec(text)?.[1];
  return [...new Set([...parts, ...(behindColon ? [behindColon] : [])])].filter((part) => part !== '' && part !== UNKNOWN);
}

/** @returns the absolute path, `undefined` where its beginning is unknown */
export function resolvePath(path: string, folder: string | undefined): string | undefined {
  if (path.startsWith('/')) return posix.normalize(path);
  if (path.startsWith('~') || path.startsWith(UNKNOWN)) return undefined;
  return folder === undefined ? undefined : posix.join(folder, path);
}

export function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder === '/' ? '/' : `${folder}/`);
}

function patternExpression(pattern: string): RegExp {
  const source = pattern.replaceAll(/\*\*\/?|[\\^$.*+?()[\]{}|]/g, (part) => {
    if (part === '**/') return '(?:[^]*/)?';
    if (part === '**') return '[^]*';
    if (part === '*') return '[^/]*';
    return part === '?' ? '[^/]' : `\\${part}`;
  });
  return new RegExp(`^${source}(?:/[^]*)?$`);
}
