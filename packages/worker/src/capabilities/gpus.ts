import { readdirSync, readFileSync } from 'node:fs';
import type { MachineFacts } from '@helixcode/protocol/worker/capabilities';
import { findProgram } from '../home/program-path.ts';
import { askProgram } from './ask-program.ts';

type Gpu = MachineFacts['gpus'][number];

const NVIDIA_FOLDER = '/proc/driver/nvidia/gpus';

export async function findGpus(path: string): Promise<Gpu[]> {
  if (findProgram('nvidia-smi', path)) {
    const table = await askProgram('nvidia-smi', ['--query-gpu=name,memory.total', '--format=csv,noheader,nounits'], path);
    if (table !== undefined) return parseNvidiaSmi(table);
  }
  try {
    return readdirSync(NVIDIA_FOLDER).map((bus) => parseNvidiaDriver(readFileSync(`${NVIDIA_FOLDER}/${bus}/information`, 'utf8')));
  } catch {
    return [];
  }
}

/** @param table lines such as `NVIDIA A100-SXM4-40GB, 40960`: the name may hold commas, memory is in MiB or `[N/A]` */
export function parseNvidiaSmi(table: string): Gpu[] {
  return table.split('\n').flatMap((line) => {
    const match = /^(.+),\s*(\d+|\[.*\])\s*$/.exec(line);
    if (!match) return [];
    return { name: match[1]?.trim() ?? '', memoryBytes: (Number(match[2]) || 0) * 1024 * 1024 };
  });
}

/** The driver's own page names the model and not the memory. */
export function parseNvidiaDriver(page: string): Gpu {
  return { name: /^Model:\s*(.+)$/m.exec(page)?.[1]?.trim() ?? 'NVIDIA', memoryBytes: 0 };
}
