import { z } from 'zod';

/** Of the archive as a whole; a reader refuses a higher one. */
export const BACKUP_FORMAT = 1;
export const MANIFEST = 'manifest.json';
/** The sha256 of the manifest in hex: with it the archive is complete. */
export const MANIFEST_HASH = 'manifest.sha256';

/** Files of the data folder that are taken as they are, where they are there. */
export const SINGLE_FILES = ['secret.key', 'receipts.key', 'owner-token', 'server-id', 'helix.json'] as const;
/** Folders of the data folder: what a restore puts in place, together with the files. */
export const BACKUP_FOLDERS = ['postgres', 'repos', 'blobs'] as const;

export const backupManifest = z.object({
  format: z.number().int(),
  madeAt: z.string(),
  /** Version of the server. */
  version: z.string(),
  /** `linux-x64`: the files of a database belong to it. */
  platform: z.string(),
  postgresMajor: z.number().int(),
  /** Applied to the database, oldest first. */
  migrations: z.array(z.string()),
  files: z.array(z.object({ path: z.string(), bytes: z.number().int(), sha256: z.string() })),
});
export type BackupManifest = z.infer<typeof backupManifest>;

/** What a person is told of a backup. */
export interface BackupSummary {
  madeAt: string;
  version: string;
  /** By part, before compression: `{postgres: {files: 1200, bytes: …}}`. */
  parts: Record<string, { files: number; bytes: number }>;
}

export function summaryOf({ madeAt, version, files }: BackupManifest): BackupSummary {
  const parts: BackupSummary['parts'] = {};
  for (const { path, bytes } of files) {
    const part = (parts[path.includes('/') ? (path.split('/')[0] ?? '') : 'files'] ??= { files: 0, bytes: 0 });
    part.files += 1;
    part.bytes += bytes;
  }
  return { madeAt, version, parts };
}
