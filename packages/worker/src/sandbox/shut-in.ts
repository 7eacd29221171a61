import { CodedError } from '@helixcode/protocol/errors';
import type { WrapCommand } from '../commands/command.ts';
import { sandboxCommand } from './sandbox-command.ts';

/**
 * Shuts the commands in that are run beside a job, as its spec asks for. Where it only asks for it if it can be had, a worker that cannot shut them in runs them as
 * they are.
 */
export function shutIn({ environment, workerHome }: { environment: Record<string, string>; workerHome: string }): WrapCommand {
  return (command, { job, startFolder }) => {
    const { sandbox } = job.spec;
    if (!sandbox) return { command };
    try {
      return {
        command: sandboxCommand({
          command,
          startFolder,
          workerHome,
          root: job.root,
          folder: job.folder,
          network: sandbox.network,
          environment: { ...environment, ...job.openEnvironment },
          // The output of earlier commands, of which the model is told where it lies.
          readable: [job.folder.commandsFolder],
        }),
      };
    } catch (error) {
      const isWelcome = error instanceof CodedError && error.code === 'sandbox.unavailable' && sandbox.demand === 'none';
      if (!isWelcome) throw error;
      return { command };
    }
  };
}
