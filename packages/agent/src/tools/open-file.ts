import { CodedError } from '@helixcode/protocol/errors';
import { nearestName } from '@helixcode/protocol/nearest-name';
import type { FileContent, Workspace } from '../workspace.ts';

/** A larger file is not read whole: a command that looks into it is. */
export const MAX_FILE_BYTES = 10 * 1024 * 1024;

/** Reads a file; one that is not there is answered with the name that was probably meant. */
export async function openFile(workspace: Workspace, path: string): Promise<FileContent> {
  try {
    return await workspace.readFile(path, MAX_FILE_BYTES);
  } catch (error) {
    if (!(error instanceof CodedError) || error.code !== 'workspace.file_missing') throw error;
    const meant = await nearestFile(workspace, path);
    throw new CodedError(error.code, meant === undefined ? error.message : `${error.message}; did you mean ${meant}?`, { cause: error });
  }
}

async function nearestFile(workspace: Workspace, path: string): Promise<string | undefined> {
  const folder = path.slice(0, Math.max(0, path.lastIndexOf('/')));
  try {
    const { entries } = await workspace.list({ folder, depth: 1, maxEntries: 1_000 });
    return nearestName(
      path,
      entries.map((entry) => entry.path),
    );
  } catch (error) {
    if (error instanceof CodedError && error.code.startsWith('workspace.')) return undefined;
    throw error;
  }
}

/** The file as it is now, or `undefined` where there is none. */
export async function fileIfThere(workspace: Workspace, path: string, maxBytes = MAX_FILE_BYTES): Promise<FileContent | undefined> {
  try {
    return await workspace.readFile(path, maxBytes);
  } catch (error) {
    if (error instanceof CodedError && error.code === 'workspace.file_missing') return undefined;
    throw error;
  }
}
