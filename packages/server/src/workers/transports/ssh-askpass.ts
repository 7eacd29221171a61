import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { chmod, mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { CodedError } from '@helixcode/protocol/errors';

/** An installation takes five connections, and each asks once per way of signing in, of which two take a password. */
const ANSWERS = 16;
/** All answers must find room in the pipe, which holds 64 KiB. */
const PASSWORD_LIMIT_BYTES = 1_024;

export interface Askpass {
  /** To be added to the environment of ssh. None of it is the password. */
  env: Record<string, string>;
  remove(): Promise<void>;
}

/**
 * Lets ssh ask for a password without a terminal. The password waits in a pipe that only this user can open: it is on no
 * command line, in no environment and on no disk. The helper answers nothing but the prompt of this very account, so
 * that a jump host on the way, or a locked key, never gets it.
 *
 * @param privateFolder where the pipe and the helper may be made; others cannot look into it
 * @param accounts `user@host` as ssh may write it in its prompt
 */
export async function openAskpass(privateFolder: string, password: string, accounts: readonly string[]): Promise<Askpass> {
  if (/[\n\r\0]/.test(password) || Buffer.byteLength(password) > PASSWORD_LIMIT_BYTES)
    throw new CodedError(
      'config.invalid',
      `a password with a line break, or of more than ${PASSWORD_LIMIT_BYTES} bytes, cannot be given to ssh`,
    );
  const folder = await mkdtemp(join(privateFolder, 'askpass-'));
  const pipe = join(folder, 'pipe');
  const helper = join(folder, 'askpass');
  try {
    await promisify(execFile)('mkfifo', ['-m', '600', pipe]);
    const prompts = accounts.flatMap((account) => [`${quote(`${account}'s password: `)}*`, `${quote(`(${account}) `)}*`]);
    await writeFile(
      helper,
      `#!/bin/sh\ncase "$1" in\n${prompts.join('|')}) IFS= read -r answer <${quote(pipe)} && printf '%s\\n' "$answer" ;;\n*) exit 1 ;;\nesac\n`,
      { mode: 0o700 },
    );
    await chmod(helper, 0o700);
    // Opened for both directions, so that neither this nor the write waits for a reader that may never come.
    const end = await open(pipe, constants.O_RDWR | constants.O_NONBLOCK);
    await end.write(`${password}\n`.repeat(ANSWERS));
    return {
      env: { SSH_ASKPASS: helper, SSH_ASKPASS_REQUIRE: 'force', DISPLAY: process.env['DISPLAY'] ?? ':0' },
      async remove() {
        await end.close();
        await rm(folder, { recursive: true, force: true });
      },
    };
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
