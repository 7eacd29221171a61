import { CodedError } from '@helixcode/protocol/errors';
import { decode, isBinary } from '../edit/file-text.ts';
import { boundText } from '../output/bound-output.ts';
import { fileIfThere } from '../tools/open-file.ts';
import type { Workspace } from '../workspace.ts';

export const INSTRUCTIONS_FILE = 'AGENTS.md';
/** Of one file. A longer one is cut, and says so. */
export const INSTRUCTIONS_BYTES = 16 * 1024;

/** What a project says to agents that work in a folder. */
export interface Instructions {
  /** `''` is the workspace itself. */
  folder: string;
  text: string;
}

/** The folders whose instructions are true of a file, from the outermost to the nearest, which wins where they differ. */
export function instructionFolders(path: string): string[] {
  const parts = path.split('/').slice(0, -1);
  return ['', ...parts.map((_, index) => parts.slice(0, index + 1).join('/'))];
}

/** The instructions of one folder, or `undefined` where it has none that can be read. */
export async function readInstructions(workspace: Workspace, folder: string): Promise<Instructions | undefined> {
  const path = folder === '' ? INSTRUCTIONS_FILE : `${folder}/${INSTRUCTIONS_FILE}`;
  try {
    const file = await fileIfThere(workspace, path);
    if (file === undefined || isBinary(file.bytes)) return undefined;
    const isLong = file.bytes.length > INSTRUCTIONS_BYTES;
    const text = decode(file.bytes.subarray(0, INSTRUCTIONS_BYTES))
      .replace(/\uFFFD+$/, '')
      .replace(/^\uFEFF/, '')
      .trim();
    if (text === '') return undefined;
    return { folder, text: isLong ? `${boundText(text).text}\n[${path} is longer; read the rest where it is needed]` : text };
  } catch (error) {
    // A folder of that name, a link that leads out: nothing to follow.
    if (error instanceof CodedError && error.code.startsWith('workspace.')) return undefined;
    throw error;
  }
}

export function tellInstructions({ folder, text }: Instructions): string {
  const where = folder === '' ? 'the whole project' : `everything in ${folder}/, before what folders above it say`;
  return `<instructions for="${where}">\n${text}\n</instructions>`;
}
