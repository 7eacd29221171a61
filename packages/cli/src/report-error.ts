import { CodedError, ERROR_CODES } from '@helixcode/protocol/errors';
import { EXIT_CODES } from '@helixcode/protocol/exit-codes';
import type { GlobalFlags } from './global-flags.ts';
import { createStyle, wantsColor } from './output/style.ts';

/** Says on stderr what went wrong and what mends it. @returns the exit status it means */
export function reportError(error: unknown, flags: Pick<GlobalFlags, 'format' | 'color'>, io: ErrorOutput = process): number {
  const coded = error instanceof CodedError ? error : undefined;
  const code = coded?.code ?? 'api.internal';
  const message = error instanceof Error ? error.message : String(error);
  const requestId = coded?.details?.requestId;
  if (flags.format !== 'text') {
    const fact = {
      code,
      message,
      ...(coded?.next !== undefined && { next: coded.next }),
      ...(typeof requestId === 'string' && { requestId }),
    };
    io.stderr.write(`${JSON.stringify({ error: fact })}\n`);
  } else {
    const style = createStyle({ color: flags.color && wantsColor(io.env, io.stderr.isTTY === true), unicode: true });
    io.stderr.write(`${style.red('error:')} ${message} ${style.dim(`(${code})`)}\n`);
    if (coded?.next !== undefined) io.stderr.write(`${style.dim('next:')} ${coded.next}\n`);
    // What is not one of our errors is a fault of this program, and its stack is what a report of it needs.
    if (!coded && error instanceof Error && error.stack) io.stderr.write(`${style.dim(error.stack)}\n`);
  }
  return coded ? ERROR_CODES[coded.code].exit : EXIT_CODES.failed.status;
}

interface ErrorOutput {
  env: Readonly<Record<string, string | undefined>>;
  stderr: { write(text: string): unknown; isTTY?: boolean };
}
