import { chownSync, mkdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import path from 'node:path';
import { CodedError } from '@helixcode/protocol/errors';
import { canExecute, closedFolder, type DatabaseAccount, databaseAccount } from './database-account.ts';
import { postgresMajor } from './postgres-binaries.ts';

/** The only role, owner of everything. */
export const superuser = 'helix';

/** Where everything lies, with every link in the path resolved: PostgreSQL is recognised by this path. */
export interface Place {
  folder: string;
  cluster: string;
  data: string;
  passwordFile: string;
  log: string;
  account: DatabaseAccount | undefined;
}

/** Makes the folder where there is none and, as root, gives it to the account PostgreSQL will run as. */
export async function openPlace(given: string): Promise<Place> {
  // Parents with the usual mode: closed ones would shut out the account below them.
  mkdirSync(path.dirname(given), { recursive: true });
  mkdirSync(given, { recursive: true, mode: 0o700 });
  const folder = realpathSync(given);
  const cluster = path.join(folder, String(postgresMajor));
  const account = await databaseAccount(cluster);
  if (account !== undefined) {
    chownSync(folder, account.uid, account.gid);
    if (!(await canExecute(account, folder))) throw closedToAccount(folder, account);
  }
  return {
    folder,
    cluster,
    data: path.join(cluster, 'data'),
    passwordFile: path.join(cluster, 'password'),
    log: path.join(folder, 'postgres.log'),
    account,
  };
}

function closedToAccount(folder: string, account: DatabaseAccount): CodedError {
  const closed = closedFolder(account, folder) ?? folder;
  return new CodedError(
    'database.folder_closed',
    `PostgreSQL cannot run as root, and ${closed} is closed to the user (uid ${account.uid}) it would run as`,
    {
      next: `choose a data folder outside ${closed}, for example below /var/lib, or set DATABASE_URL`,
      details: { folder, closed },
    },
  );
}

/** Whether the cluster was made; it appears whole or not at all. */
export function isCluster(place: Place): boolean {
  return statSync(path.join(place.data, 'PG_VERSION'), { throwIfNoEntry: false }) !== undefined;
}

/** The address of the server on `port`, password included. */
export function urlOf(place: Place, port: number): string {
  const password = readFileSync(place.passwordFile, 'utf8').trim();
  return `postgresql://${superuser}:${password}@127.0.0.1:${port}/postgres`;
}
