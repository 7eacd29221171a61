import { type ChildProcessByStdio, execFile, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Readable, Writable } from 'node:stream';

/** A git command that ended with another status than 0. */
export class GitError extends Error {
  override readonly name = 'GitError';
  readonly exitCode: number | undefined;
  /** What it wrote to its stderr. */
  readonly stderr: string;

  constructor(args: readonly string[], exitCode: number | undefined, stderr: string, cause?: unknown) {
    super(`git ${args[0] ?? ''} ended with ${exitCode ?? 'a signal'}: ${lastLine(stderr)}`, cause === undefined ? undefined : { cause });
    this.exitCode = exitCode;
    this.stderr = stderr;
  }

  /** The last line of what git said, without its `fatal:`: mostly the one that names the cause. */
  get reason(): string {
    return lastLine(this.stderr);
  }
}

export interface GitRun {
  /** Added to the environment of `Git`. */
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  stdin?: string | Buffer;
  signal?: AbortSignal;
}

/** Git as the server runs it: without the settings, the hooks and the questions of the machine it runs on. */
export interface Git {
  /**
   * @returns what it printed, as bytes
   * @throws GitError when it ends with another status than 0
   */
  run(args: readonly string[], options?: GitRun): Promise<Buffer>;
  /** @returns what it printed, as text without the last line break */
  text(args: readonly string[], options?: GitRun): Promise<string>;
  /** A git that the caller talks to. */
  start(args: readonly string[], options?: Pick<GitRun, 'env'>): ChildProcessByStdio<Writable, Readable, Readable>;
  /** What a program needs in its environment to be such a git. */
  readonly env: NodeJS.ProcessEnv;
}

/** Bytes of an answer that are read at most; lists of files are the longest ones. */
const MAX_OUTPUT_BYTES = 512 * 1024 * 1024;

/**
 * A git whose only configuration is a file of ours in `folder`.
 *
 * `safe.directory` cannot be given by argument or environment: git clears both for the `upload-pack` that it starts in
 * a local source, which would then refuse a repository of another user.
 */
export function createGit(folder: string): Git {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const configFile = path.join(folder, 'gitconfig');
  writeFileSync(
    configFile,
    [
      '[safe]',
      '\tdirectory = *',
      '[core]',
      '\thooksPath = /dev/null',
      '\tfsmonitor = false',
      '[gc]',
      '\tautoDetach = false',
      '\tbigPackThreshold = 256m',
      '[maintenance]',
      '\tauto = false',
      '[advice]',
      '\tdetachedHead = false',
      '',
    ].join('\n'),
  );
  const env: NodeJS.ProcessEnv = {
    ...withoutGit(process.env),
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: configFile,
    GIT_TERMINAL_PROMPT: '0',
    GIT_ASKPASS: '',
    SSH_ASKPASS: '',
    SSH_ASKPASS_REQUIRE: 'never',
    GCM_INTERACTIVE: 'never',
    // What git says is shown to people and read by us.
    LC_ALL: 'C.UTF-8',
  };

  const run: Git['run'] = (args, options = {}) =>
    new Promise((resolve, reject) => {
      const child = execFile(
        'git',
        args,
        {
          env: { ...env, ...options.env },
          encoding: 'buffer',
          maxBuffer: MAX_OUTPUT_BYTES,
          ...(options.cwd !== undefined && { cwd: options.cwd }),
          ...(options.signal && { signal: options.signal }),
        },
        (error, stdout, stderr) => {
          if (!error) return resolve(stdout);
          if (error.name === 'AbortError') return reject(error);
          const said = stderr.length > 0 ? stderr.toString() : error.message;
          reject(new GitError(args, typeof error.code === 'number' ? error.code : undefined, said, error));
        },
      );
      // A git that ends before it has read everything closes its stdin; its status tells why.
      child.stdin?.on('error', () => {});
      child.stdin?.end(options.stdin);
    });

  return {
    env,
    run,
    async text(args, options) {
      return (await run(args, options)).toString().replace(/\n$/, '');
    },
    start: (args, options = {}) => spawn('git', args, { env: { ...env, ...options.env }, stdio: ['pipe', 'pipe', 'pipe'] }),
  };
}

/** A server started from a git hook or an editor inherits a repository that is not meant. */
function withoutGit(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('GIT_')));
}

/** What git adds to every refused connection, after the line that names the cause. */
const REFRAIN = [
  'fatal: Could not read from remote repository.',
  'Please make sure you have the correct access rights',
  'and the repository exists.',
];

function lastLine(stderr: string): string {
  const lines = stderr
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const telling = lines.filter((line) => !REFRAIN.includes(line));
  return (telling.at(-1) ?? lines[0] ?? 'it said nothing').replace(/^(fatal|error): /, '');
}
