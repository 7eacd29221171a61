import { CodedError } from '@helixcode/protocol/errors';
import type { ProjectId } from '@helixcode/protocol/ids';
import { findRunner } from '../tasks/testing/find-runner.ts';
import type { ProjectFiles } from '../tasks/testing/test-runner.ts';
import type { Verify } from './merge-context.ts';

/** Where a project has no tests, nothing can speak against a change that fits; it is merged without a receipt. */
export function verifyWhereTested(projectFiles: (project: ProjectId, commit: string) => Promise<ProjectFiles>, verify: Verify): Verify {
  return async (request) => {
    try {
      await findRunner(await projectFiles(request.project, request.commit));
    } catch (error) {
      if (!(error instanceof CodedError) || error.code !== 'test.runner_unknown') throw error;
      return { passed: true, receipts: [], summary: 'the project has no tests' };
    }
    return verify(request);
  };
}
