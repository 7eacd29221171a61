import { CodedError } from '@helixcode/protocol/errors';

/**
 * The path of the workspace that a model means: relative, or absolute as it read it in the output of a command.
 *
 * @returns relative, normal, `''` for the workspace itself
 * @throws CodedError `workspace.path_refused` for one that leads out, or into the data of git
 */
export function workspacePath(given: string, root: string): string {
  const inside = given === root ? '' : given.startsWith(`${root}/`) ? given.slice(root.length + 1) : given;
  if (inside.includes('\0')) throw refused(given, 'has a zero byte in it');
  if (inside.startsWith('/')) throw refused(given, 'is outside of the workspace');
  const parts: string[] = [];
  for (const part of inside.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') parts.push(part);
    else if (parts.pop() === undefined) throw refused(given, 'is outside of the workspace');
  }
  // What is written there can run as a command later (hooks), and what is read there may hold a token. Disks that fold case know it by any case.
  if (parts.some((part) => part.toLowerCase() === '.git')) throw refused(given, 'belongs to git');
  return parts.join('/');
}

function refused(path: string, why: string): CodedError {
  return new CodedError('workspace.path_refused', `${JSON.stringify(path)} ${why}`, { next: 'use a path relative to the workspace' });
}
