import path from 'node:path';
import { runBackupProgram } from '../backup-program.ts';
import type { HelixContext } from '../helix-context.ts';
import { dataFolderOf } from '../local-server.ts';
import { countOf } from '../output/amounts.ts';

export default async function restore(this: HelixContext, flags: { replace?: boolean }, given: string): Promise<void> {
  const { out } = this;
  const [file, dataFolder] = [path.resolve(this.cwd, given), dataFolderOf(this)];
  const found = await runBackupProgram(['restore', file, dataFolder, ...(flags.replace ? ['--replace'] : [])], this.env);
  if (out.format !== 'text') return out.json(found);
  out.note(`restored what ${found.version} kept at ${found.madeAt} (${countOf(found.trees ?? 0, 'task')})`);
  if (found.movedAside !== undefined) out.note(`what was there before is in ${found.movedAside}`);
  out.note('it takes over the workers of the server it was copied from, which must not run any more');
  out.line(dataFolder);
  out.hint('helix up');
}
