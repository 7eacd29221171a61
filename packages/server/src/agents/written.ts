import type { Workspace } from '@helixcode/agent/workspace';

export interface WrittenFile {
  path: string;
  bytes: Uint8Array;
}

/** Notes what is written through a workspace: what is known need not be looked for. */
export class Written {
  /** In the order they were written; `undefined` once something was done that is no writing. */
  files: WrittenFile[] | undefined = [];

  get isNothing(): boolean {
    return this.files?.length === 0;
  }

  through(workspace: Workspace): Workspace {
    return {
      ...workspace,
      writeFile: async (path, bytes, expected) => {
        const hash = await workspace.writeFile(path, bytes, expected);
        this.files?.push({ path, bytes });
        return hash;
      },
      removeFile: async (path, expected) => {
        this.files = undefined;
        await workspace.removeFile(path, expected);
      },
    };
  }
}
