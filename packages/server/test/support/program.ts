import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

export interface Program {
  /** What it printed first. */
  line: string;
  /** `kill -9`; resolves when it is gone. */
  kill(): Promise<void>;
}

/** Runs a TypeScript file as a process of its own; resolves with its first line of output. */
export async function givenProgram(file: string, ...args: string[]): Promise<Program> {
  const child: ChildProcess = spawn(process.execPath, [file, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  if (child.stdout === null) throw new Error('no pipe');
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`${file} ended with ${String(code)} before it printed anything`);
  });
  const [line] = (await Promise.race([once(createInterface(child.stdout), 'line'), ended])) as [string];
  return {
    line,
    async kill() {
      const gone = once(child, 'exit');
      ended.catch(() => {});
      child.kill('SIGKILL');
      await gone;
    },
  };
}
