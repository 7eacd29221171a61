import { rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { CodedError } from '@helixcode/protocol/errors';
import { connect } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';

interface Flags {
  prompt: string;
  model?: string;
}

export default async function modelsRecord(this: HelixContext, flags: Flags, given: string): Promise<void> {
  const { out } = this;
  const file = path.resolve(this.cwd, given);
  const connection = await connect(this);
  // Made before anything is paid for, and never over something that is there.
  await writeFile(file, '', { flag: 'wx' }).catch((cause: NodeJS.ErrnoException) => {
    throw new CodedError('cli.bad_usage', `${file} cannot be made: ${cause.code === 'EEXIST' ? 'it is there already' : cause.message}`, {
      next: 'name another file',
      cause,
    });
  });
  const body = { prompt: flags.prompt, ...(flags.model !== undefined && { model: flags.model }) };
  let transcript: string;
  try {
    transcript = await (await connection.call('models.record', { body })).text();
  } catch (error) {
    await rm(file);
    throw error;
  }
  await writeFile(file, transcript);
  if (out.format !== 'text') out.json({ file, lines: transcript.trimEnd().split('\n').length });
  else out.note(`${file} has the transcript`);
}
