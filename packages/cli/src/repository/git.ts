import { execFile, spawn } from 'node:child_process';
import { Readable } from 'node:stream';

/** Git said no. `reason` is the line of its stderr that names the cause. */
export class GitError extends Error {
  override readonly name = 'GitError';
  readonly reason: string;

  constructor(args: readonly string[], stderr: string, cause: unknown) {
    const lines = stderr.split('\n').filter((line) => line.trim() !== '');
    const reason = (lines.find((line) => /^(fatal|error): /.test(line)) ?? lines.at(-1) ?? String(cause)).replace(/^(fatal|error): /, '');
    super(`git ${args.join(' ')}: ${reason}`, { cause });
    this.reason = reason;
  }
}

export interface GitOptions {
  cwd: string;
  env?: NodeJS.ProcessEnv;
  stdin?: string;
}

/**
 * The person's own git with their configuration, in their repository. Bytes, since names of files need not be text.
 * @throws GitError
 */
export function runGit(args: readonly string[], { cwd, env, stdin }: GitOptions): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const options = { cwd, env: gitEnv(env), encoding: 'buffer' as const, maxBuffer: 1024 ** 3 };
    const child = execFile('git', args, options, (error, stdout, stderr) => {
      if (error) reject(new GitError(args, stderr.toString(), error));
      else resolve(stdout);
    });
    // A git that ends without having read everything tells why by its status.
    child.stdin?.on('error', () => {});
    child.stdin?.end(stdin);
  });
}

/** @returns its output without the last line break */
export async function gitText(args: readonly string[], options: GitOptions): Promise<string> {
  return (await runGit(args, options)).toString().replace(/\n$/, '');
}

/** A git whose output is read as it comes; the stream fails when git does. */
export function streamGit(args: readonly string[], { cwd, env, stdin }: GitOptions): Readable {
  const child = spawn('git', args, { cwd, env: gitEnv(env), stdio: ['pipe', 'pipe', 'pipe'] });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.stdin.on('error', () => {});
  child.stdin.end(stdin);
  child.on('error', (error) => child.stdout.destroy(error));
  const { stdout } = child;
  async function* output(): AsyncGenerator<Buffer> {
    const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
    for await (const chunk of stdout) yield chunk as Buffer;
    const code = await ended;
    if (code !== 0) throw new GitError(args, stderr, `status ${code}`);
  }
  return Readable.from(output(), { objectMode: false });
}

/** What it says is the same in every language, it asks nothing, and it leaves the index as it is when it only looks. */
function gitEnv(env: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  return { ...process.env, LC_ALL: 'C.UTF-8', GIT_OPTIONAL_LOCKS: '0', GIT_TERMINAL_PROMPT: '0', ...env };
}
