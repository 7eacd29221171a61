import { readFileSync } from 'node:fs';
import { CodedError } from '@helixcode/protocol/errors';
import { isEnrolmentToken } from '@helixcode/protocol/worker/dial-in';

/**
 * The enrolment token: from stdin where that is asked for, from `HELIX_ENROL_TOKEN`, or from the file that
 * `HELIX_ENROL_TOKEN_FILE` names. It is taken out of the environment, so that nothing that is started later inherits it.
 *
 * @throws CodedError `worker.enrolment_refused` for what is none
 */
export async function takeEnrolmentToken(isOnStdin: boolean, environment: NodeJS.ProcessEnv = process.env): Promise<string | undefined> {
  const { HELIX_ENROL_TOKEN: inEnvironment, HELIX_ENROL_TOKEN_FILE: file } = environment;
  delete environment['HELIX_ENROL_TOKEN'];
  const text = isOnStdin ? await readStdin() : inEnvironment || (file ? readToken(file) : undefined);
  if (text === undefined) return undefined;
  const token = text.trim();
  if (isEnrolmentToken(token)) return token;
  const place = isOnStdin ? 'came on stdin' : inEnvironment ? 'HELIX_ENROL_TOKEN holds' : `${file} holds`;
  throw new CodedError('worker.enrolment_refused', `what ${place} is not an enrolment token`, { next: 'helix workers enrol <name>' });
}

async function readStdin(): Promise<string> {
  let text = '';
  for await (const piece of process.stdin.setEncoding('utf8')) {
    text += piece as string;
    // Whoever types it ends it with a line break and does not close the terminal.
    if (text.includes('\n')) break;
  }
  return text;
}

/** A container keeps the file mounted for longer than the token is needed: that it is gone is then no fault. */
function readToken(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
