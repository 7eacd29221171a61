import { spawn } from 'node:child_process';
import { lowerPriority } from '../jobs/launcher.ts';

/** The end of a program's output that is worth passing on. */
const TAIL_BYTES = 2_000;

export interface ProgramResult {
  /** 128 + number for one that a signal ended. */
  exitCode: number;
  stdout: Buffer;
  /** The last bytes of stdout and stderr together, as text. */
  tail: string;
}

/** A program that ended with another status than 0. */
export class ProgramFailed extends Error {
  override readonly name = 'ProgramFailed';
  readonly tail: string;

  constructor(program: string, result: ProgramResult) {
    super(`${program} ended with status ${result.exitCode}: ${result.tail.trim()}`);
    this.tail = result.tail;
  }
}

export interface ProgramOptions {
  cwd?: string;
  env: Record<string, string>;
  input?: string | Uint8Array | NodeJS.ReadableStream;
  /** Where stdout goes instead of being collected. */
  output?: NodeJS.WritableStream;
  signal?: AbortSignal;
  timeoutMs?: number;
}

/**
 * Runs a program in a group of its own, so that an abort or a timeout ends all of it.
 * @throws the abort's reason; Error when there is no such program
 */
export async function runProgram(
  program: string,
  args: readonly string[],
  options: ProgramOptions,
): Promise<ProgramResult & { isTimedOut: boolean }> {
  options.signal?.throwIfAborted();
  const child = spawn(program, args, { cwd: options.cwd, env: options.env, stdio: ['pipe', 'pipe', 'pipe'], detached: true });
  if (child.pid !== undefined) lowerPriority(child.pid);
  const stdout: Buffer[] = [];
  let tail = Buffer.alloc(0);
  const keepTail = (chunk: Buffer): void => {
    tail = Buffer.concat([tail, chunk]).subarray(-TAIL_BYTES);
  };
  child.stderr.on('data', keepTail);
  if (options.output) child.stdout.pipe(options.output, { end: true });
  else {
    child.stdout.on('data', (chunk: Buffer) => {
      stdout.push(chunk);
      keepTail(chunk);
    });
  }
  child.stdin.on('error', () => {}); // It ended without reading all: its status says why.
  if (typeof options.input === 'object' && !(options.input instanceof Uint8Array)) {
    options.input.on('error', () => child.stdin.destroy());
    options.input.pipe(child.stdin);
  } else child.stdin.end(options.input);
  const killAll = (): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    } catch {
      // Ended already.
    }
  };
  let isTimedOut = false;
  const stopLate = (): void => {
    isTimedOut = true;
    killAll();
  };
  const timer = options.timeoutMs === undefined ? undefined : setTimeout(stopLate, options.timeoutMs);
  options.signal?.addEventListener('abort', killAll, { once: true });
  try {
    const exitCode = await new Promise<number>((resolve, reject) => {
      child.on('error', reject);
      // Not `close`: a background process that keeps the pipes open must not hold the result back.
      child.on('exit', (code) => setImmediate(() => resolve(code ?? 137)));
    });
    options.signal?.throwIfAborted();
    await drained(child.stdout);
    return { exitCode, stdout: Buffer.concat(stdout), tail: tail.toString('utf8'), isTimedOut };
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', killAll);
  }
}

/** Waits a moment for what is still in the pipe. */
async function drained(stream: NodeJS.ReadableStream & { readableEnded: boolean; closed: boolean }): Promise<void> {
  if (stream.readableEnded || stream.closed) return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, 1_000);
    for (const event of ['end', 'close', 'error'])
      stream.once(event, () => {
        clearTimeout(timer);
        resolve();
      });
  });
}

/** @throws ProgramFailed */
export async function mustRun(program: string, args: readonly string[], options: ProgramOptions): Promise<ProgramResult> {
  const result = await runProgram(program, args, options);
  if (result.exitCode !== 0) throw new ProgramFailed(`${program} ${args[0] ?? ''}`.trim(), result);
  return result;
}
