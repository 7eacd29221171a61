import type { DividedKind } from '@helixcode/protocol/task/task-spec';
import { buildKind } from './build.ts';
import type { TaskKind } from './kind.ts';
import { shellKind } from './shell.ts';
import { testKind } from './test.ts';

/** Every kind of task. The specs are told apart by the task's kind, which the submission's schema has checked. */
export const KINDS: Record<DividedKind, TaskKind> = {
  shell: shellKind as unknown as TaskKind,
  build: buildKind as unknown as TaskKind,
  test: testKind as unknown as TaskKind,
};
