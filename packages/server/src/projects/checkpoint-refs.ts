import { mkdir, open, rename } from 'node:fs/promises';
import path from 'node:path';
import type { Readable } from 'node:stream';
import type { ProjectId, TaskId } from '@helixcode/protocol/ids';
import type { Mirrors } from './mirror.ts';
import { type ObjectReader, openObjectReader } from './object-reader.ts';
import { type Replaced, readHead, replaceFiles } from './replace-files.ts';
import { takeSnapshot } from './take-snapshot.ts';

/** `<task>/<number>` below it is a checkpoint. */
export const TASK_REFS = 'refs/helix/tasks';

/** What is written over the files of a checkpoint. */
export interface WrittenOver {
  /** The commit of the checkpoint. */
  onto: string;
  /** The commit that changes are counted against. */
  base: string;
  writes: readonly { path: string; bytes: Uint8Array }[];
}

/** The files of checkpoints: commits in the mirror of the project, each kept by a ref named after its task and number. */
export interface CheckpointRefs {
  /** @throws CodedError `snapshot.refused`, `api.payload_too_large` */
  keep(project: ProjectId, task: TaskId, number: number, commit: string, bundle: Readable, maxBytes: number): Promise<void>;
  /** Makes one from another and keeps it. @returns `undefined` where the files written are not files of the other */
  keepWritten(project: ProjectId, task: TaskId, number: number, written: WrittenOver): Promise<Replaced | undefined>;
  /** Hash of the tree of a checkpoint; `undefined` where it is not here. */
  treeOf(project: ProjectId, commit: string): Promise<string | undefined>;
  /** Lets go of all checkpoints of a task but these; git deletes what nobody else refers to, in its time. */
  retain(project: ProjectId, task: TaskId, numbers: readonly number[]): Promise<void>;
}

export function createCheckpointRefs(mirrors: Mirrors): CheckpointRefs {
  const readers = new Map<ProjectId, ObjectReader>();
  const readerOf = (project: ProjectId): ObjectReader => {
    const reader = readers.get(project) ?? openObjectReader(mirrors.git, mirrors.folderOf(project));
    readers.set(project, reader);
    return reader;
  };

  return {
    async keep(project, task, number, commit, bundle, maxBytes) {
      await takeSnapshot(mirrors, project, commit, bundle, { maxBytes, ref: `${TASK_REFS}/${task}/${number}` });
    },

    keepWritten: (project, task, number, written) =>
      mirrors.exclusively(project, async () => {
        const gitDir = mirrors.folderOf(project);
        const replaced = await replaceFiles(gitDir, readerOf(project), { ...written, message: 'checkpoint (asked)', at: new Date() });
        if (replaced) await writeNewRef(path.join(gitDir, TASK_REFS, task), String(number), replaced.commit);
        return replaced;
      }),

    treeOf: async (project, commit) => (await readHead(readerOf(project), commit))?.tree,

    async retain(project, task, numbers) {
      const gitDir = `--git-dir=${mirrors.folderOf(project)}`;
      const kept = new Set(numbers.map((number) => `${TASK_REFS}/${task}/${number}`));
      await mirrors.exclusively(project, async () => {
        // Made up for with the next checkpoint of the task, or by the sweep once it is over.
        if (mirrors.areCheckpointsHeld()) return;
        const names = (await mirrors.git.text([gitDir, 'for-each-ref', '--format=%(refname)', `${TASK_REFS}/${task}/`])).split('\n');
        const gone = names.filter((name) => name !== '' && !kept.has(name));
        if (gone.length > 0)
          await mirrors.git.run([gitDir, 'update-ref', '--stdin'], { stdin: gone.map((name) => `delete ${name}\n`).join('') });
      });
    },
  };
}

/** As git does it: whoever has the lock may put it in the place of the ref. */
async function writeNewRef(folder: string, name: string, commit: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const ref = path.join(folder, name);
  const handle = await open(`${ref}.lock`, 'wx');
  try {
    await handle.writeFile(`${commit}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(`${ref}.lock`, ref);
}
