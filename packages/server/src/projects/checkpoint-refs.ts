import { randomBytes } from 'node:crypto';
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
        if (replaced) await writeNewRef(gitDir, `${TASK_REFS}/${task}/${number}`, replaced.commit);
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

/**
 * Whole or not at all, also where this server is killed meanwhile. Not by a lock beside it, as git would: that of a server which was killed stays, and nobody else writes
 * this number of this task.
 */
async function writeNewRef(gitDir: string, name: string, commit: string): Promise<void> {
  const ref = path.join(gitDir, name);
  await mkdir(path.dirname(ref), { recursive: true });
  // Below `refs`, git would take it for a ref, however much of it is there.
  const unfinished = path.join(gitDir, `new-ref-${randomBytes(6).toString('hex')}`);
  const handle = await open(unfinished, 'wx');
  try {
    await handle.writeFile(`${commit}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(unfinished, ref);
}
