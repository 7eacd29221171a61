import { chmodSync, closeSync, existsSync, fsyncSync, mkdirSync, openSync, readdirSync, renameSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { CodedError } from '@helixcode/protocol/errors';
import { lockDataFolder } from '../db/data-folder-lock.ts';
import { stopEmbeddedPostgres } from '../db/embedded-postgres.ts';
import { migrationsFolder } from '../db/migrate.ts';
import { BACKUP_FOLDERS, type BackupSummary, SINGLE_FILES, summaryOf } from './manifest.ts';
import { readBackup, refuseUnsuitable } from './read-backup.ts';
import { raiseEpochs, readAllRows, withRestoredDatabase } from './restored-database.ts';

const PARTS = [...BACKUP_FOLDERS, ...SINGLE_FILES];
const STAGING = 'restoring-';

export interface Restored extends BackupSummary {
  dataFolder: string;
  /** Task trees in the database. */
  trees: number;
  /** Where what was there before lies now. */
  movedAside?: string;
}

/**
 * Puts a backup into a data folder in which no server runs. It is unpacked, compared and started beside what is there;
 * only when all is well does it take that one's place, which is moved into a folder of its own and never removed.
 *
 * @param replace whether the folder may hold another server's data
 * @throws CodedError `server.already_running`, `restore.folder_in_use`, `backup.damaged`, `backup.unsuitable`, `backup.disk_full`
 */
export async function restoreBackup(file: string, dataFolder: string, replace: boolean): Promise<Restored> {
  mkdirSync(dataFolder, { recursive: true });
  chmodSync(dataFolder, process.getuid?.() === 0 ? 0o711 : 0o700);
  const lock = lockDataFolder(dataFolder, { what: 'a restore' });
  const staging = path.join(dataFolder, `${STAGING}${process.pid}`);
  try {
    const present = PARTS.filter((part) => existsSync(path.join(dataFolder, part)));
    if (present.length > 0 && !replace)
      throw new CodedError('restore.folder_in_use', `the data folder ${dataFolder} holds ${present.join(', ')} already`, {
        next: `helix restore ${file} --replace moves it aside; helix restore ${file} --home <folder> leaves it`,
      });
    for (const name of readdirSync(dataFolder))
      if (name.startsWith(STAGING)) await rm(path.join(dataFolder, name), { recursive: true, force: true });
    await mkdir(staging, { mode: process.getuid?.() === 0 ? 0o711 : 0o700 });

    const manifest = await readBackup(file, { folder: staging, isWanted: () => true, isLasting: true });
    refuseUnsuitable(file, manifest, migrationsFolder);
    const trees = await withRestoredDatabase(path.join(staging, 'postgres'), async (client) => {
      const trees = await readAllRows(client);
      await raiseEpochs(client);
      return trees;
    });

    // What a killed server left running would go on writing into the folder that is moved.
    if (existsSync(path.join(dataFolder, 'postgres'))) await stopEmbeddedPostgres(path.join(dataFolder, 'postgres'));
    const aside = path.join(dataFolder, `before-restore-${new Date().toISOString().replaceAll(/[:.]/g, '-')}`);
    if (present.length > 0) mkdirSync(aside, { mode: process.getuid?.() === 0 ? 0o711 : 0o700 });
    for (const part of present) renameSync(path.join(dataFolder, part), path.join(aside, part));
    for (const part of PARTS) if (existsSync(path.join(staging, part))) renameSync(path.join(staging, part), path.join(dataFolder, part));
    syncFolder(dataFolder);
    return { ...summaryOf(manifest), dataFolder, trees, ...(present.length > 0 && { movedAside: aside }) };
  } finally {
    await rm(staging, { recursive: true, force: true, maxRetries: 5 });
    lock.release();
  }
}

/** Until then a loss of power could undo the moves. */
function syncFolder(folder: string): void {
  const handle = openSync(folder, 'r');
  fsyncSync(handle);
  closeSync(handle);
}
