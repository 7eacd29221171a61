import { createInterface } from 'node:readline';
import { CodedError } from '@helixcode/protocol/errors';
import type { HelixContext } from './helix-context.ts';

/**
 * Asks a person; anything but a clear yes is a no, Ctrl-C and the end of the input too. Only where `canAsk`.
 * @param signal takes the question back, which is a no
 */
export async function askYesNo(context: HelixContext, question: string, signal?: AbortSignal): Promise<boolean> {
  const { region } = context.out;
  region?.hide();
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return await new Promise<boolean>((resolve) => {
      lines.question(`${question} [y/N] `, (answer) => resolve(/^y(es)?$/i.test(answer.trim())));
      lines.on('close', () => resolve(false));
      signal?.addEventListener('abort', () => lines.close(), { once: true });
    });
  } finally {
    lines.close();
    region?.show();
  }
}

/**
 * Lets a person confirm what cannot be undone.
 * @throws CodedError `cli.declined`; `cli.bad_usage` where nobody can be asked
 */
export async function confirm(context: HelixContext, question: string, command: string): Promise<void> {
  if (!context.canAsk) throw new CodedError('cli.bad_usage', `${question} Nobody can be asked here.`, { next: `${command} --yes` });
  if (!(await askYesNo(context, question))) throw new CodedError('cli.declined', 'nothing was done');
}

/** A secret from stdin, without its line break: passwords are never arguments, which every user of the machine can see. */
export async function readSecret(context: HelixContext): Promise<string> {
  if (process.stdin.isTTY) context.out.note('password (its input ends with Ctrl-D):');
  let text = '';
  for await (const chunk of process.stdin.setEncoding('utf8')) text += chunk as string;
  const secret = text.replace(/\r?\n$/, '');
  if (secret === '')
    throw new CodedError('cli.bad_usage', 'no password came on stdin', {
      next: 'helix workers add --password-stdin ada@host < password-file',
    });
  return secret;
}
