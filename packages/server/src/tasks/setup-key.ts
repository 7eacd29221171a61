import { createHash } from 'node:crypto';
import type { SetupCommand } from '@helixcode/protocol/task/task-spec';
import type { ProjectFiles } from './testing/test-runner.ts';

/**
 * Names the outcome of a set-up command: equal keys mean that its cached outputs can be used. Made from the command and
 * the content of the files it depends on; the worker adds its platform.
 */
export async function setupKey(setup: Pick<SetupCommand, 'command' | 'inputs'>, files: ProjectFiles): Promise<string> {
  const hash = createHash('sha256').update(setup.command);
  for (const path of [...setup.inputs].sort()) {
    const content = await files.read(path);
    hash.update(`\0${path}\0${content === undefined ? 'absent' : createHash('sha256').update(content).digest('hex')}`);
  }
  return hash.digest('hex').slice(0, 32);
}
