import { rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { CodedError } from '@helixcode/protocol/errors';
import { connect } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';

interface Flags {
  session?: string;
  prompt?: string;
  model?: string;
}

export default async function modelsRecord(this: HelixContext, flags: Flags, given: string): Promise<void> {
  const { out } = this;
  if ((flags.session === undefined) === (flags.prompt === undefined))
    throw new CodedError('cli.bad_usage', 'a transcript is of a session or of a question', {
      next: 'helix models record --session ID FILE, or --prompt TEXT FILE',
    });
  const file = path.resolve(this.cwd, given);
  const connection = await connect(this);
  // Made before anything is paid for, and never over something that is there.
  await writeFile(file, '', { flag: 'wx' }).catch((cause: NodeJS.ErrnoException) => {
    throw new CodedError('cli.bad_usage', `${file} cannot be made: ${cause.code === 'EEXIST' ? 'it is there already' : cause.message}`, {
      next: 'name another file',
      cause,
    });
  });
  const { session, prompt } = flags;
  const ask = async (): Promise<Response> =>
    session === undefined
      ? connection.call('models.record', { body: { prompt: prompt ?? '', ...(flags.model !== undefined && { model: flags.model }) } })
      : connection.call('sessions.transcript', { params: { session } });
  let transcript: string;
  try {
    transcript = await (await ask()).text();
  } catch (error) {
    await rm(file);
    throw error;
  }
  await writeFile(file, transcript);
  if (out.format !== 'text') out.json({ file, lines: transcript.trimEnd().split('\n').length });
  else out.note(`${file} has the transcript`);
}
