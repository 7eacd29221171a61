import { replaceFile } from '../home/write-file.ts';
import { mustRun, type ProgramOptions, type ProgramResult } from './run-program.ts';

/**
 * The only configuration git reads here. A checkout is to be the commit, byte for byte, on every worker: neither the
 * machine's nor the person's settings, attributes, ignore lists, hooks or filters may have a say.
 */
const GIT_CONFIG = `[core]
	autocrlf = false
	longpaths = true
	quotePath = false
	hooksPath = /dev/null
	attributesFile = /dev/null
	excludesFile = /dev/null
	fsmonitor = false
[protocol "ext"]
	allow = always
[safe]
	directory = *
[gc]
	packRefs = false
[advice]
	detachedHead = false
[fetch]
	writeCommitGraph = false
`;

/** Put before a subcommand: whatever a job wrote into the configuration of its repository, git starts no program for it. */
export const WITHOUT_PROGRAMS = ['-c', 'core.fsmonitor=false', '-c', 'core.hooksPath=/dev/null'] as const;

export function writeGitConfig(path: string): void {
  replaceFile(path, GIT_CONFIG);
}

/** Runs git without any of the person's settings. */
export class Git {
  readonly #environment: Record<string, string>;

  constructor(baseEnvironment: Record<string, string>, configFile: string) {
    this.#environment = {
      ...baseEnvironment,
      LC_ALL: 'C',
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_CONFIG_GLOBAL: configFile,
      GIT_ATTR_NOSYSTEM: '1',
      GIT_TERMINAL_PROMPT: '0',
    };
  }

  /** @throws ProgramFailed */
  run(args: readonly string[], options: Omit<ProgramOptions, 'env'> & { env?: Record<string, string> } = {}): Promise<ProgramResult> {
    return mustRun('git', args, { ...options, env: { ...this.#environment, ...options.env } });
  }
}
