import { setTimeout as sleep } from 'node:timers/promises';
import { isSettled } from '@helixcode/protocol/task/task-state';
import type { Finding } from './findings.ts';
import type { Load } from './load.ts';
import type { World } from './world.ts';

const WITHIN_MS = 30_000;

/** Workers that came through all of it, and yet cannot do a plain job in a fresh checkout at the first try. */
export async function findSpoiltWorkers(world: World, load: Pick<Load, 'sources'>): Promise<Finding[]> {
  const { project, commit } = load.sources;
  const findings = await Promise.all(
    world.workers.map(async ({ name, id }): Promise<Finding[]> => {
      const { id: task } = await world.ask((client, signal) =>
        client.call('tasks.submit', {
          body: {
            kind: 'shell',
            name: `a last job on ${name}`,
            worker: id,
            spec: { command: 'cat src/lib.txt', project, commit },
            policy: { replaceLost: 0 },
          },
          signal,
        }),
      );
      for (const deadlineMs = performance.now() + WITHIN_MS; ; await sleep(100)) {
        const { state, failure, waitingFor } = await world.ask((client, signal) => client.call('tasks.get', { params: { task }, signal }));
        if (state === 'completed') return [];
        if (!isSettled(state) && performance.now() < deadlineMs) continue;
        return [
          {
            kind: 'broken',
            where: name,
            what: `a plain job on it is ${state} in the end: ${failure?.message ?? waitingFor ?? 'no reason'}`,
          },
        ];
      }
    }),
  );
  return findings.flat();
}
