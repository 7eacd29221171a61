import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { Duplex } from 'node:stream';

/** How much of what a process says on stderr is kept: its beginning is greetings, its end is the cause. */
const STDERR_KEPT_BYTES = 16 * 1024;
/** Of stdout the beginning says why it never came to what was asked. */
const STDOUT_KEPT_BYTES = 2 * 1024;

/** How a process ended, for whoever has to say why. */
export interface ProcessEnd {
  exitCode: number | null;
  signal: NodeJS.Signals | null;
  stderr: string;
  /** The first of what it wrote on stdout. */
  stdout: string;
  /** It could not even be started. */
  startError: Error | undefined;
}

/** The stdin and stdout of a process as one stream. Destroying it ends the process. */
export class ProcessStream extends Duplex {
  readonly #child: ChildProcessWithoutNullStreams;
  #stderr = '';
  #stdout = '';
  readonly #ended: Promise<ProcessEnd>;

  /** @param explain the error with which the stream ends, made when the process has; `undefined`: it ended well */
  constructor(child: ChildProcessWithoutNullStreams, explain: (end: ProcessEnd) => Error | undefined) {
    super({ allowHalfOpen: true, emitClose: true });
    this.#child = child;
    let startError: Error | undefined;
    child.stderr.on('data', (chunk: Buffer) => {
      this.#stderr = (this.#stderr + chunk.toString('utf8')).slice(-STDERR_KEPT_BYTES);
    });
    child.stdout.on('data', (chunk: Buffer) => {
      if (this.#stdout.length < STDOUT_KEPT_BYTES) this.#stdout += chunk.toString('utf8', 0, STDOUT_KEPT_BYTES);
      if (!this.push(chunk)) child.stdout.pause();
    });
    // Writing to a process that has ended; why it ended is told by its end.
    child.stdin.on('error', () => {});
    child.on('error', (error) => {
      startError = error;
    });
    this.#ended = new Promise((resolve) => {
      child.on('close', (exitCode, signal) => {
        const end: ProcessEnd = { exitCode, signal, stderr: this.#stderr, stdout: this.#stdout, startError };
        resolve(end);
        const error = explain(end);
        if (error) this.destroy(error);
        else this.push(null);
      });
    });
    // Whoever reads sees the error; nobody has to.
    this.on('error', () => {});
  }

  /** Resolves when the process has ended and everything it wrote was taken in. */
  ended(): Promise<ProcessEnd> {
    return this.#ended;
  }

  override _read(): void {
    this.#child.stdout.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    // A process that ended takes no more; that is no error of the stream, which ends with the reason.
    this.#child.stdin.write(chunk, () => done());
  }

  override _writev(chunks: { chunk: Buffer; encoding: BufferEncoding }[], done: () => void): void {
    const { stdin } = this.#child;
    stdin.cork();
    for (const { chunk } of chunks.slice(0, -1)) stdin.write(chunk);
    stdin.write(chunks.at(-1)?.chunk ?? Buffer.alloc(0), () => done());
    stdin.uncork();
  }

  override _final(done: () => void): void {
    this.#child.stdin.end(() => done());
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#child.stdin.destroy();
    this.#child.kill('SIGTERM');
    done(error);
  }
}
