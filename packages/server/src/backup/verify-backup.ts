import { chmodSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CodedError } from '@helixcode/protocol/errors';
import { migrationsFolder } from '../db/migrate.ts';
import { type BackupSummary, summaryOf } from './manifest.ts';
import { readBackup, refuseUnsuitable } from './read-backup.ts';
import { readAllRows, withRestoredDatabase } from './restored-database.ts';

/** A database up to this size is restored on trial: beyond it takes minutes, and the space a second time. */
const TRIAL_LIMIT_BYTES = 1024 ** 3;

export interface VerifiedBackup extends BackupSummary {
  /** Task trees in the database that was started on trial; absent where there was no room for that. */
  trees?: number;
}

/**
 * Reads a backup back, compares every file with the manifest, and starts its database in a folder for temporary files.
 *
 * @throws CodedError `backup.damaged`, `backup.unsuitable`; what starting a database throws
 */
export async function verifyBackup(file: string): Promise<VerifiedBackup> {
  const summary = summaryOf(await readBackup(file));
  if ((summary.parts.postgres?.bytes ?? 0) > TRIAL_LIMIT_BYTES) return summary;
  const folder = await mkdtemp(path.join(tmpdir(), 'helix-backup-trial-'));
  try {
    // The account of the database passes through.
    chmodSync(folder, process.getuid?.() === 0 ? 0o711 : 0o700);
    const manifest = await readBackup(file, { folder, isWanted: (name) => name.split('/')[0] === 'postgres', isLasting: false });
    refuseUnsuitable(file, manifest, migrationsFolder);
    return { ...summary, trees: await withRestoredDatabase(path.join(folder, 'postgres'), readAllRows) };
  } catch (error) {
    // A small folder for temporary files says nothing about the backup, which was read back whole.
    if (error instanceof CodedError && error.code === 'backup.disk_full') return summary;
    throw error;
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
