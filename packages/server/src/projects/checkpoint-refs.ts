import type { Readable } from 'node:stream';
import type { ProjectId, TaskId } from '@helixcode/protocol/ids';
import type { Mirrors } from './mirror.ts';
import { takeSnapshot } from './take-snapshot.ts';

/** `<task>/<number>` below it is a checkpoint. */
export const TASK_REFS = 'refs/helix/tasks';

/** The files of checkpoints: commits in the mirror of the project, each kept by a ref named after its task and number. */
export interface CheckpointRefs {
  /** @throws CodedError `snapshot.refused`, `api.payload_too_large` */
  keep(project: ProjectId, task: TaskId, number: number, commit: string, bundle: Readable, maxBytes: number): Promise<void>;
  /** Lets go of all checkpoints of a task but these; git deletes what nobody else refers to, in its time. */
  retain(project: ProjectId, task: TaskId, numbers: readonly number[]): Promise<void>;
}

export function createCheckpointRefs(mirrors: Mirrors): CheckpointRefs {
  return {
    async keep(project, task, number, commit, bundle, maxBytes) {
      await takeSnapshot(mirrors, project, commit, bundle, { maxBytes, ref: `${TASK_REFS}/${task}/${number}` });
    },

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
