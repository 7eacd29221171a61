import { CodedError } from '@helixcode/protocol/errors';
import type { Handlers } from '../http/handler.ts';
import { type BackupSource, openBackup } from './write-backup.ts';

/** @param source `databaseUrl` absent: the database is somebody else's, whose files are not ours to copy */
export function backupHandlers(
  source: Omit<BackupSource, 'databaseUrl'> & { databaseUrl: string | undefined },
): Pick<Handlers, 'server.backup'> {
  return {
    async 'server.backup'() {
      const { databaseUrl, dataFolder } = source;
      if (databaseUrl === undefined)
        throw new CodedError('backup.external_database', 'the database of this server is not the embedded one: its own tools back it up', {
          next: `pg_dump --format=custom --file=helix.dump "$DATABASE_URL", then copy repos, blobs, secret.key and receipts.key of ${dataFolder}`,
        });
      return {
        body: await openBackup({ ...source, databaseUrl }),
        headers: { 'content-disposition': 'attachment; filename="helix-backup.tar.zst"', 'cache-control': 'no-store' },
      };
    },
  };
}
