import { createWriteStream, existsSync, renameSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { CodedError } from '@helixcode/protocol/errors';
import { runBackupProgram } from '../backup-program.ts';
import { connect } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';
import { countOf, formatBytes } from '../output/amounts.ts';

export default async function backup(this: HelixContext, _flags: object, given: string): Promise<void> {
  const { out } = this;
  const named = path.resolve(this.cwd, given);
  const isFolder = statSync(named, { throwIfNoEntry: false })?.isDirectory() ?? false;
  const file = isFolder ? path.join(named, `helix-backup-${new Date().toISOString().replaceAll(/[:.]/g, '-')}.tar.zst`) : named;
  if (existsSync(file)) throw new CodedError('cli.bad_usage', `${file} exists already`, { next: `helix backup ${path.dirname(file)}` });
  if (!existsSync(path.dirname(file)))
    throw new CodedError('cli.bad_usage', `there is no folder ${path.dirname(file)}`, {
      next: 'helix backup <file in a folder that exists>',
    });

  const connection = await connect(this);
  const response = await connection.call('server.backup');
  const partial = `${file}.partial`;
  // Until it is proven whole it has another name: what has this one is a backup.
  rmSync(partial, { force: true });
  try {
    await pipeline(
      Readable.fromWeb(response.body as ReadableStream),
      createWriteStream(partial, { flags: 'wx', mode: 0o600, flush: true }),
    );
    out.note('copied; reading it back');
    const found = await runBackupProgram(['verify', partial], this.env);
    renameSync(partial, file);
    const { size } = statSync(file);
    if (out.format !== 'text') return out.json({ file, bytes: size, ...found });
    const tried = found.trees === undefined ? 'it was read back' : `its database was started on trial (${countOf(found.trees, 'task')})`;
    out.note(`the backup is whole: ${tried}; ${formatBytes(size)}`);
    out.note('it holds the secrets of the server: whoever can read it can do what the owner can');
    out.line(file);
    out.hint(`helix restore ${file} --home <folder>`);
  } catch (error) {
    rmSync(partial, { force: true });
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOSPC' || code === 'EDQUOT')
      throw new CodedError('backup.disk_full', `there is no room for the backup in ${path.dirname(file)}`, {
        next: `df -h ${path.dirname(file)}`,
        cause: error,
      });
    if (error instanceof TypeError)
      throw new CodedError('server.unreachable', `the connection to the server was cut while it sent the backup`, {
        next: `helix backup ${given}`,
        cause: error,
      });
    throw error;
  }
}
