import { CodedError } from '@helixcode/protocol/errors';
import { run } from '@stricli/core';
import { buildApp, type Thrown } from './app.ts';
import { type GlobalFlags, takeGlobalFlags } from './global-flags.ts';
import { createContext, type HelixContext } from './helix-context.ts';
import { reportError } from './report-error.ts';

/** Runs one command line. The exit status is left in `process.exitCode`, so that what is still being written arrives. */
export async function main(argv: readonly string[]): Promise<void> {
  const reader = new AbortController();
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    reader.abort();
  });
  process.stderr.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
  process.exitCode = await exitStatusOf(argv, reader.signal);
}

async function exitStatusOf(argv: readonly string[], readerGone: AbortSignal): Promise<number> {
  let flags: GlobalFlags = { format: 'text', color: true, input: true, server: undefined, home: undefined };
  try {
    if (argv[0] === '__complete') {
      const { completionsOf } = await import('./completions.ts');
      process.stdout.write(await completionsOf(argv.slice(1)));
      return 0;
    }
    const taken = takeGlobalFlags(argv);
    flags = taken.flags;
    return await runCommand(taken.rest, flags, readerGone);
  } catch (error) {
    if (readerGone.aborted) return 0;
    return reportError(error, flags);
  }
}

async function runCommand(args: readonly string[], flags: GlobalFlags, readerGone: AbortSignal): Promise<number> {
  // What the parser says of a wrong command line becomes an error like any other.
  let said = '';
  const parser = {
    stdout: process.stdout,
    stderr: { write: (text: string) => void (said += text) },
    exitCode: undefined as number | undefined,
  };
  const context: HelixContext = {
    ...createContext(flags, readerGone),
    process: parser,
    async runAgain(again) {
      context.exitStatus = await runCommand(again, flags, readerGone);
    },
  };
  const thrown: Thrown[] = [];
  await run(buildApp({ color: context.out.style.hasColor, onThrow: (what) => thrown.push(what) }), args, context);
  if (thrown[0]) throw thrown[0].error;
  if ((parser.exitCode ?? 0) < 0) throw badUsage(said, args);
  return context.exitStatus;
}

function badUsage(said: string, args: readonly string[]): CodedError {
  const unknown = /^there is no command ([^;\s]+)/.exec(said)?.[1];
  const end = args.findIndex((arg) => arg === unknown || arg.startsWith('-'));
  const command = args.slice(0, end < 0 ? 2 : Math.min(end, 2));
  return new CodedError('cli.bad_usage', said.trim().replaceAll('\n', '; '), { next: ['helix', ...command, '--help'].join(' ') });
}
