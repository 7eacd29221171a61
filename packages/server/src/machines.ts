import type { NamedMachine } from './models/fit-model.ts';
import type { WorkerRegistry } from './workers/worker-registry.ts';

/** The machines a local model could run on: the workers that were looked at, and the server where no worker runs on its machine. */
export function machinesOf(registry: Pick<WorkerRegistry, 'all'>): NamedMachine[] {
  const workers = registry.all();
  const machines = workers.flatMap(({ row: { name, facts }, load }): NamedMachine[] => {
    if (!facts) return [];
    return [
      {
        name,
        freeMemoryBytes: load?.memoryFreeBytes ?? facts.memoryBytes,
        gpus: facts.gpus,
        isMemoryShared: facts.os === 'darwin' && facts.arch === 'arm64',
      },
    ];
  });
  if (workers.some(({ row }) => row.transport === 'local' && row.facts)) return machines;
  // Of its own machine the server knows the memory alone: graphics cards are found by a worker.
  const isMemoryShared = process.platform === 'darwin' && process.arch === 'arm64';
  return [...machines, { name: 'server', freeMemoryBytes: process.availableMemory(), gpus: [], isMemoryShared }];
}
