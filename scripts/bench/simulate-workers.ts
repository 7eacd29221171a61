/**
 * Workers that run nothing, in a process of their own, so that what they cost is not counted as the server's. Reads one
 * line of JSON, listens on every socket of it, and says `ready`; from then on a line each second: the jobs started so far.
 */
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { givenSimulatedWorker } from '../../packages/server/test/support/simulated-worker.ts';

/** What the process is told. */
export interface Simulation {
  sockets: string[];
  /** Hash of the agent that the server would install: it leaves workers that run it as they are. */
  agent: string;
  jobMs: number;
  cores: number;
}

const [line] = (await once(createInterface(process.stdin), 'line')) as [string];
const { sockets, agent, jobMs, cores } = JSON.parse(line) as Simulation;
const workers = await Promise.all(
  sockets.map((socketPath) =>
    givenSimulatedWorker({
      socketPath,
      agent,
      jobMs,
      cores,
      sendsInline: true,
      outputOf: (spec) => Buffer.from(`${spec.command}\nended\n`),
    }),
  ),
);
process.stdout.write('ready\n');
setInterval(() => process.stdout.write(`${workers.reduce((sum, worker) => sum + worker.started.length, 0)}\n`), 1_000);
// Whoever started this process is gone.
process.stdin.on('close', () => process.exit(0));
