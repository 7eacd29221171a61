import { createInterface } from 'node:readline';
import { CodedError } from '@helixcode/protocol/errors';
import type { HelixContext } from './helix-context.ts';

/**
 * Asks a person for a line. Only where `canAsk`.
 *
 * @param options.signal takes the question back
 * @param options.onInterrupt told when the person pressed Ctrl-C in place of an answer
 * @returns without spaces around it; `undefined` after Ctrl-C, at the end of the input, or when the question was taken back
 */
export async function askLine(
  context: HelixContext,
  question: string,
  { signal, onInterrupt }: { signal?: AbortSignal | undefined; onInterrupt?: () => void } = {},
): Promise<string | undefined> {
  if (signal?.aborted) return undefined;
  const { region } = context.out;
  region?.hide();
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  const close = (): void => lines.close();
  try {
    return await new Promise<string | undefined>((resolve) => {
      lines.question(question, (answer) => resolve(answer.trim()));
      lines.on('SIGINT', () => {
        lines.close();
        onInterrupt?.();
      });
      lines.on('close', () => resolve(undefined));
      signal?.addEventListener('abort', close, { once: true });
    });
  } finally {
    signal?.removeEventListener('abort', close);
    lines.close();
    region?.show();
  }
}

/** Asks a person; anything but a clear yes is a no, Ctrl-C and the end of the input too. @param signal takes the question back, which is a no */
export async function askYesNo(context: HelixContext, question: string, signal?: AbortSignal): Promise<boolean> {
  return isYes((await askLine(context, `${question} [y/N] `, { signal })) ?? '');
}

export function isYes(answer: string): boolean {
  return /^y(es)?$/i.test(answer);
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
