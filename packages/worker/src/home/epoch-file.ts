import { readIfThere, replaceFile } from './write-file.ts';

/** The newest link this worker has accepted: whoever comes with an older one has been replaced and does not know it. */
export interface SeenEpoch {
  epoch: number;
  server: string;
}

export function readEpoch(path: string): SeenEpoch {
  const [epoch, server] = (readIfThere(path) ?? '').trim().split(' ');
  return { epoch: Number(epoch || -1), server: server ?? '' };
}

export function writeEpoch(path: string, seen: SeenEpoch): void {
  replaceFile(path, `${seen.epoch} ${seen.server}\n`);
}

/** The same server may repeat its epoch (its first `hello` was lost); two servers never hold the same one. */
export function isStale(seen: SeenEpoch, offered: SeenEpoch): boolean {
  return offered.epoch < seen.epoch || (offered.epoch === seen.epoch && offered.server !== seen.server);
}
