import { closeSync, constants, existsSync, fstatSync, lstatSync, mkdirSync, openSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { CodedError, type ErrorCode } from '@helixcode/protocol/errors';
import { isErrno } from '../home/write-file.ts';

const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK, O_DIRECTORY } = constants;
const hasOpenFiles = existsSync('/proc/self/fd');

/**
 * The real place of a path of the workspace, links followed; of a file that is not there, as far as its folders are.
 *
 * What it says is true at this moment: whoever acts on it opens it with `openFile` or `openFolder`, which look again.
 *
 * @param root real path of the workspace
 * @throws CodedError `workspace.path_refused` where it leads out, or into the data of git; `workspace.not_a_file`
 */
export function realPathInside(root: string, path: string): string {
  const parts = path.split('/');
  if (path.startsWith('/') || path.includes('\0') || parts.includes('..') || parts.includes('.'))
    throw refuse('workspace.path_refused', path, 'is not a plain path relative to the workspace');
  refuseGit(path, path);
  const real = realPath(root, path);
  if (real !== root && !real.startsWith(`${root}/`)) throw refuse('workspace.path_refused', path, 'leads out of the workspace');
  refuseGit(real.slice(root.length), path);
  return real;
}

/** What is written there can run as a command later, and what is read there may hold a token. Disks that fold case know it by any case. */
function refuseGit(inside: string, path: string): void {
  if (inside.toLowerCase().split('/').includes('.git')) throw refuse('workspace.path_refused', path, 'belongs to git');
}

function realPath(root: string, path: string): string {
  const whole = join(root, path);
  try {
    return realpathSync.native(whole);
  } catch (error) {
    if (!isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'EACCES', 'ENAMETOOLONG')) throw error;
    // A link to nothing would be followed by a write.
    if (isLink(whole)) throw refuse('workspace.path_refused', path, 'is a link that leads nowhere');
    if (isErrno(error, 'ELOOP', 'EACCES', 'ENAMETOOLONG')) throw refuse('workspace.path_refused', path, 'cannot be followed');
    const folder = dirname(path);
    if (path === '' || folder === '.') return whole;
    const parent = realPath(root, folder);
    if (isErrno(error, 'ENOTDIR') && statSync(parent, { throwIfNoEntry: false })?.isFile())
      throw refuse('workspace.not_a_file', path, 'lies in something that is no folder');
    return join(parent, basename(path));
  }
}

function isLink(path: string): boolean {
  try {
    return lstatSync(path).isSymbolicLink();
  } catch {
    return false;
  }
}

/**
 * Opens what `realPathInside` found, and only that: not what a link leads to that came into its way meanwhile.
 *
 * @param real as `realPathInside` gave it
 * @returns a descriptor that the caller closes; `undefined` where nothing is there
 * @throws CodedError `workspace.path_refused`, `workspace.not_a_file`
 */
export function openFile(real: string, path: string): number | undefined {
  const fd = openExactly(real, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (fd === undefined) return undefined;
  const about = fstatSync(fd);
  if (about.isFile()) return fd;
  throw refuse('workspace.not_a_file', path, about.isDirectory() ? 'is a folder' : 'is no file');
}

/**
 * Opens a folder of the workspace in the same way, making those that are missing.
 *
 * @returns its descriptor, and where what lies in it can be reached, wherever the folder may be moved
 */
export function openFolder(root: string, real: string, path: string): { fd: number; at(name: string): string } {
  let fd = openExactly(real, path, O_RDONLY | O_NOFOLLOW | O_DIRECTORY);
  if (fd === undefined) {
    if (real === root) throw refuse('workspace.path_refused', path, 'has no workspace around it any more');
    const parent = openFolder(root, dirname(real), path);
    try {
      mkdirSync(parent.at(basename(real)));
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw error;
    } finally {
      closeSync(parent.fd);
    }
    fd = openExactly(real, path, O_RDONLY | O_NOFOLLOW | O_DIRECTORY);
    if (fd === undefined) throw refuse('workspace.path_refused', path, 'lies in a folder that was taken away meanwhile');
  }
  return { fd, at: (name) => (hasOpenFiles ? `/proc/self/fd/${fd}/${name}` : join(real, name)) };
}

function openExactly(real: string, path: string, flags: number): number | undefined {
  let fd: number;
  try {
    fd = openSync(real, flags);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    if (isErrno(error, 'ELOOP')) throw refuse('workspace.path_refused', path, 'became a link meanwhile');
    if (isErrno(error, 'ENOTDIR')) throw refuse('workspace.not_a_file', path, 'lies in something that is no folder');
    if (isErrno(error, 'EACCES', 'ENXIO')) throw refuse('workspace.not_a_file', path, 'cannot be opened');
    throw error;
  }
  // A folder on the way may have become a link between the two looks.
  if (!hasOpenFiles || readlinkSync(`/proc/self/fd/${fd}`) === real) return fd;
  closeSync(fd);
  throw refuse('workspace.path_refused', path, 'was moved meanwhile');
}

export function refuse(code: ErrorCode, path: string, why: string): CodedError {
  return new CodedError(code, `${path === '' ? 'the workspace' : path} ${why}`);
}
