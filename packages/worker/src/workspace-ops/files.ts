import { createHash, randomUUID } from 'node:crypto';
import { closeSync, fchmodSync, fstatSync, linkSync, openSync, readFileSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { isErrno } from '../home/write-file.ts';
import { openFile, openFolder, realPathInside, refuse } from './inside-path.ts';

/** Where otherwise the hash of a file would stand. */
const ABSENT = 'absent';
const NEW_FILE_MODE = 0o666;

/** @throws CodedError `workspace.file_missing`, `workspace.not_a_file`, `workspace.file_too_large`, `workspace.path_refused` */
export function readWorkspaceFile(root: string, path: string, maxBytes: number): { bytes: Buffer; hash: string } {
  const fd = openFile(realPathInside(root, path), path);
  if (fd === undefined) throw refuse('workspace.file_missing', path, 'does not exist');
  try {
    const { size } = fstatSync(fd);
    if (size > maxBytes) throw refuse('workspace.file_too_large', path, `has ${size} bytes, more than ${maxBytes}`);
    const bytes = readFileSync(fd);
    if (bytes.length > maxBytes) throw refuse('workspace.file_too_large', path, `grows: it has more than ${maxBytes} bytes`);
    return { bytes, hash: hashOf(bytes) };
  } finally {
    closeSync(fd);
  }
}

/**
 * Replaces a file in one step, if its content is what was expected, or is what it shall be already.
 *
 * @param draftFolder outside of the workspace: what is not whole yet must not be seen in it
 * @returns the hash of what is there now
 * @throws CodedError `workspace.file_changed`, `workspace.not_a_file`, `workspace.path_refused`
 */
export function writeWorkspaceFile(root: string, draftFolder: string, path: string, bytes: Uint8Array, expected: string): string {
  const real = realPathInside(root, path);
  if (real === root) throw refuse('workspace.not_a_file', path, 'is a folder');
  const wanted = hashOf(bytes);
  const present = presentAt(real, path);
  if (present.hash === wanted) return wanted;
  if (present.hash !== expected) throw changed(path);
  const folder = openFolder(root, dirname(real), path);
  const target = folder.at(basename(real));
  try {
    const mode = present.mode ?? NEW_FILE_MODE & ~process.umask();
    const put = (draft: string): void => {
      try {
        writeDraft(draft, bytes, mode);
        // A file that must not be there is not replaced even where it comes in this very moment.
        if (expected === ABSENT) linkSync(draft, target);
        else renameSync(draft, target);
      } finally {
        rmSync(draft, { force: true });
      }
    };
    try {
      put(join(draftFolder, `draft-${randomUUID()}`));
    } catch (error) {
      // Another disk is mounted there.
      if (!isErrno(error, 'EXDEV')) throw error;
      put(folder.at(`.helix-${randomUUID()}`));
    }
    return wanted;
  } catch (error) {
    if (isErrno(error, 'EEXIST')) throw changed(path);
    throw error;
  } finally {
    closeSync(folder.fd);
  }
}

/** @throws CodedError `workspace.file_changed`, `workspace.file_missing`, `workspace.not_a_file`, `workspace.path_refused` */
export function removeWorkspaceFile(root: string, path: string, expected: string): void {
  const real = realPathInside(root, path);
  const present = presentAt(real, path);
  if (present.hash === ABSENT) throw refuse('workspace.file_missing', path, 'does not exist');
  if (present.hash !== expected) throw changed(path);
  // Of a link it is the link that goes.
  const parent = dirname(path) === '.' ? '' : dirname(path);
  const folder = openFolder(root, realPathInside(root, parent), path);
  try {
    unlinkSync(folder.at(basename(path)));
  } finally {
    closeSync(folder.fd);
  }
}

function presentAt(real: string, path: string): { hash: string; mode?: number } {
  const fd = openFile(real, path);
  if (fd === undefined) return { hash: ABSENT };
  try {
    return { hash: hashOf(readFileSync(fd)), mode: fstatSync(fd).mode & 0o7777 };
  } finally {
    closeSync(fd);
  }
}

function writeDraft(draft: string, bytes: Uint8Array, mode: number): void {
  const fd = openSync(draft, 'wx', 0o600);
  try {
    writeFileSync(fd, bytes);
    fchmodSync(fd, mode);
  } finally {
    closeSync(fd);
  }
}

function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function changed(path: string): Error {
  return refuse('workspace.file_changed', path, 'was changed in the meantime');
}
