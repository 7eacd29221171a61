import { CodedError } from '@helixcode/protocol/errors';
import type { ServerId } from '@helixcode/protocol/ids';
import type pg from 'pg';

/**
 * What every database session of a server carries: the life of the server it belongs to. Whoever takes over from a server
 * ends its lease first and its sessions next, by their name. A session that was there before is cut off, with what it was
 * about to commit; one that comes later is refused. So nothing that a server begins after its lease was ended is written.
 */
export interface DatabaseSession {
  /** `application_name` of its connections. */
  name: string;
  /** Lets a new connection in, or throws. */
  admit(client: pg.ClientBase): Promise<void>;
}

/** @param epoch of the lease; each life of a server has another */
export function sessionName(server: ServerId, epoch: number): string {
  return `${sessionNamesOf(server)}${epoch}`;
}

/** What the names of all sessions of a server begin with. */
export function sessionNamesOf(server: ServerId): string {
  return `helix ${server} `;
}

/** @param onRefused called when the lease is gone: this life of the server is over */
export function leasedSession(server: ServerId, epoch: number, onRefused: () => void): DatabaseSession {
  return {
    name: sessionName(server, epoch),
    async admit(client) {
      const { rowCount } = await client.query(`select from helix.server_leases where server_id = $1 and epoch = $2 and state <> 'ended'`, [
        server,
        epoch,
      ]);
      if (rowCount === 1) return;
      onRefused();
      throw new CodedError('server.lease_lost', `another server has taken over from ${server}`, { next: 'helix status' });
    },
  };
}
