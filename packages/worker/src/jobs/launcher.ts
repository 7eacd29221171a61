import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants, getPriority, setPriority } from 'node:os';
import { bootId } from '../home/boot-id.ts';
import { findProgram } from '../home/program-path.ts';
import { LAUNCHER_PROGRAM, type Launch, launchLine, SINGLE_PROGRAM } from './shim.ts';

/** Jobs yield to the daemon, whose beat must not stop while they burn the processor. */
const JOB_NICENESS = 5;

/** What a supervisor says of its own accord. Losing it loses nothing: its files say the same. */
export interface LaunchNews {
  attempt: string;
  /** Of a command that runs beside the job's own. */
  commandName?: string;
  what: 'started' | 'exited' | 'failed';
}

/**
 * Starts supervisors. A small shell that is kept for it forks them: that takes 0.1 ms of the daemon's time instead of
 * the 2 ms of `spawn`, which copies the daemon's whole address space, and two cores start 650 to 780 jobs per second
 * instead of 430 to 550. Where the machine lacks what it needs, each job gets a shell of its own.
 */
export class Launcher {
  readonly #environment: Record<string, string>;
  readonly #onNews: (news: LaunchNews) => void;
  readonly #setsid: string | undefined;
  #shell: ChildProcess | undefined;

  /** @param environment what every job inherits */
  constructor(environment: Record<string, string>, onNews: (news: LaunchNews) => void) {
    this.#environment = environment;
    this.#onNews = onNews;
    this.#setsid = existsSync('/proc/self/stat') ? findProgram('setsid', environment['PATH'] ?? '') : undefined;
  }

  /** Makes the shell ready, so that the first job need not wait for it. */
  warmUp(): void {
    if (this.#setsid) this.#shell ??= this.#spawnShell(LAUNCHER_PROGRAM);
  }

  launch(launch: Launch): void {
    const line = launchLine(launch, bootId(), this.#setsid ?? '');
    if (this.#setsid) {
      this.warmUp();
      this.#shell?.stdin?.write(line);
    } else {
      this.#spawnShell(SINGLE_PROGRAM).stdin?.end(line);
    }
  }

  /** Lets the shell end; supervisors go on. */
  close(): void {
    this.#shell?.stdin?.end();
  }

  #spawnShell(program: string): ChildProcess {
    // What a shell complains about can quote its input, secrets included: it goes nowhere.
    const shell = spawn('/bin/sh', [], { detached: true, stdio: ['pipe', 'pipe', 'ignore'], cwd: '/', env: this.#environment });
    shell.on('error', () => this.#forget(shell));
    shell.on('exit', () => this.#forget(shell));
    shell.stdin?.on('error', () => this.#forget(shell));
    if (shell.pid !== undefined) lowerPriority(shell.pid);
    shell.stdin?.write(program);
    let held = '';
    shell.stdout?.setEncoding('utf8').on('data', (text: string) => {
      const lines = (held + text).split('\n');
      held = lines.pop() ?? '';
      for (const line of lines) this.#hear(line);
    });
    return shell;
  }

  #hear(line: string): void {
    const what = ({ s: 'started', x: 'exited', f: 'failed' } as const)[line[0] as 's' | 'x' | 'f'];
    if (!what || line[1] !== ' ') return;
    const [attempt = '', commandName] = line.slice(2).split('/');
    this.#onNews({ attempt, what, ...(commandName !== undefined && { commandName }) });
  }

  #forget(shell: ChildProcess): void {
    if (this.#shell === shell) this.#shell = undefined;
  }
}

export function lowerPriority(pid: number): void {
  try {
    setPriority(pid, Math.min(constants.priority.PRIORITY_LOW, getPriority() + JOB_NICENESS));
  } catch {
    // It has ended already.
  }
}
