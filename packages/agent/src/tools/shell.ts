import { z } from 'zod';
import { boundOutput, HEAD_BYTES, TAIL_BYTES } from '../output/bound-output.ts';
import type { RunResult } from '../workspace.ts';
import { workspacePath } from '../workspace-path.ts';
import { defineTool } from './tool.ts';

const USUAL_SECONDS = 120;
const MOST_SECONDS = 3_600;
/** What is kept of a command's output, in its file. */
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;

export const shell = defineTool({
  name: 'shell',
  description: `Run a command with /bin/sh, without input. Long output is cut and kept in a file. Stopped after ${USUAL_SECONDS} seconds if not said otherwise.`,
  effect: 'run',
  input: z.strictObject({
    command: z.string().min(1),
    folder: z.string().optional().describe('where to start'),
    seconds: z.int().min(1).max(MOST_SECONDS).optional(),
  }),
  async run({ command, folder = '', seconds = USUAL_SECONDS }, { workspace, signal }) {
    const result = await workspace.run(
      {
        command,
        folder: workspacePath(folder, workspace.root),
        timeoutMs: seconds * 1_000,
        headBytes: HEAD_BYTES,
        tailBytes: TAIL_BYTES,
        maxOutputBytes: MAX_OUTPUT_BYTES,
      },
      signal,
    );
    const { text } = boundOutput(result.output);
    const isError = result.ending !== 'exited' || result.exitCode !== 0;
    return { text: `[${tellEnding(result, seconds)}]\n${text === '' ? '(no output)' : text}`, isError };
  },
});

function tellEnding({ ending, exitCode, signal }: RunResult, seconds: number): string {
  switch (ending) {
    case 'exited':
      return `exit code ${exitCode}`;
    case 'signalled':
      return `ended by ${signal}`;
    case 'timed_out':
      return `stopped: not over after ${seconds} seconds. It gets no input; what must go on runs in the background with its output in a file`;
    case 'output_limit':
      return 'stopped: it wrote too much';
  }
}
