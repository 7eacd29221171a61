import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parseConfig } from '@helixcode/protocol/config/check-config';
import { resolveConfig } from '@helixcode/protocol/config/resolve-config';
import { CodedError } from '@helixcode/protocol/errors';
import type { HelixContext } from '../helix-context.ts';
import { findRepository } from '../repository/snapshot.ts';

/** Checks a file, and the environment beside it; needs no server. */
export default async function configCheck(this: HelixContext, _flags: object, given?: string): Promise<void> {
  const file = given === undefined ? path.join(await findRepository(this.cwd), 'helix.json') : path.resolve(this.cwd, given);
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new CodedError('config.invalid', `${file} cannot be read: ${(cause as Error).message}`, { next: 'helix config show', cause });
  }
  parseConfig(text, file);
  resolveConfig(this.env, { name: file, text });
  if (this.out.format !== 'text') this.out.json({ ok: true, file });
  else this.out.note(`${file} is right`);
}
