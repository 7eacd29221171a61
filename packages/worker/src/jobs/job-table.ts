import { mkdirSync, readdirSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { CodedError } from '@helixcode/protocol/errors';
import type { JobReport, JobSpec } from '@helixcode/protocol/worker/job';
import { diskFullError, isDiskFull } from '../home/disk-space.ts';
import { makePrivateFolder, sharedTmpFolder, type WorkerHome } from '../home/worker-home.ts';
import { FolderBin } from './folder-bin.ts';
import { Job, type JobSurroundings } from './job.ts';
import { JobFolder } from './job-folder.ts';
import type { LaunchNews } from './launcher.ts';
import { killLeftovers } from './process-table.ts';

/** The regular look at jobs whose news got lost (a supervisor of another daemon, a filesystem without watches). */
const TICK_MS = 500;
/** A job that is over within this time is told of once, as over. */
const SHORT_JOB_MS = 4;
/** Forgotten jobs are searched for processes together: one look at the machine serves all of them. */
const SWEEP_AFTER_MS = 500;

/** All jobs of this worker whose folder exists. */
export class JobTable {
  readonly #home: WorkerHome;
  readonly #around: JobSurroundings;
  readonly #jobs = new Map<string, Job>();
  /** Jobs that could not even get a folder: their refusal is only known here. */
  readonly #folderless = new Map<string, JobReport>();
  readonly #ticker: NodeJS.Timeout;
  readonly #leftBehind = new Set<string>();
  #sweep: NodeJS.Timeout | undefined;
  readonly #bin: FolderBin;

  constructor(home: WorkerHome, around: JobSurroundings) {
    this.#home = home;
    this.#around = around;
    this.#bin = new FolderBin(() => this.runningCount() === 0, around.log);
    this.#ticker = setInterval(() => {
      for (const job of this.#jobs.values()) if (!job.isOver) this.#guarded(job, () => job.tick());
      void this.#bin.emptyWhileIdle();
    }, TICK_MS);
  }

  /** Finds the jobs of the daemon before this one, and goes on with them. */
  adopt(): void {
    mkdirSync(this.#home.jobsFolder, { recursive: true, mode: 0o700 });
    makePrivateFolder(sharedTmpFolder());
    for (const attempt of readdirSync(this.#home.jobsFolder)) {
      const folder = new JobFolder(this.#home.jobsFolder, attempt);
      const request = folder.readRequest();
      if (!request) {
        this.#bin.put(folder);
        continue;
      }
      const job = new Job(folder, request.spec, this.#around);
      this.#jobs.set(attempt, job);
      this.#guarded(job, () => job.adopt());
    }
  }

  /** Goes on with jobs that had not begun; those that need secrets wait until the server repeats its assignment. */
  resumePreparations(): void {
    for (const job of this.#jobs.values()) {
      if (!job.isIdle || job.folder.readRequest()?.secretNames.length) continue;
      killLeftovers(new Set([job.folder.attempt]));
      this.#guarded(job, () => job.begin({}));
    }
  }

  /**
   * Takes a job, or says again where it stands when it is here already.
   * @throws CodedError `job.spec_differs`, `worker.protocol_violation`
   */
  assign(attempt: string, spec: JobSpec, secrets: Record<string, string>): void {
    if (!/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/.test(attempt))
      throw new CodedError('worker.protocol_violation', `${JSON.stringify(attempt)} is not an attempt's id`);
    const removal = this.#bin.whenGone(attempt);
    if (removal) return void removal.then(() => this.assign(attempt, spec, secrets));
    const refused = this.#folderless.get(attempt);
    if (refused) return this.#around.onReport(refused);
    const known = this.#jobs.get(attempt);
    if (known) {
      if (!isDeepStrictEqual(known.spec, spec))
        throw new CodedError('job.spec_differs', `attempt ${attempt} is here already, with another specification`, {
          next: 'make a new attempt for the changed specification',
        });
      if (known.isIdle) this.#guarded(known, () => known.begin(secrets));
      else this.#around.onReport(known.report);
      return;
    }
    const folder = new JobFolder(this.#home.jobsFolder, attempt);
    try {
      folder.create({ spec, secretNames: Object.keys(secrets) });
    } catch (error) {
      this.#bin.put(folder);
      if (!isDiskFull(error)) throw error;
      void this.#bin.empty();
      const report: JobReport = { attempt, state: 'refused', reason: diskFullError(this.#home.jobsFolder, error).toFact(), streams: {} };
      this.#around.log(`job ${attempt} is refused: ${report.reason?.message}`);
      this.#folderless.set(attempt, report);
      this.#around.onReport(report);
      return;
    }
    const job = new Job(folder, spec, this.#around);
    this.#jobs.set(attempt, job);
    job.begin(secrets);
  }

  /** Of a job that is not here, it says that it is cancelled: nothing of it runs. */
  cancel(attempt: string, graceMs: number): void {
    const job = this.#jobs.get(attempt);
    if (job) return job.cancel(graceMs);
    this.#around.onReport(
      this.#folderless.get(attempt) ?? {
        attempt,
        state: 'cancelled',
        reason: { code: 'task.cancelled', message: 'the job was not on this worker' },
        streams: {},
      },
    );
  }

  /**
   * Deletes what is left of a job. Nothing happens where there is nothing.
   * @throws CodedError `worker.busy` while it runs
   */
  forget(attempt: string): void {
    this.#folderless.delete(attempt);
    const job = this.#jobs.get(attempt);
    if (!job) return;
    job.refresh();
    if (!job.isOver)
      throw new CodedError('worker.busy', `attempt ${attempt} is ${job.report.state}: it cannot be forgotten`, { next: 'cancel it first' });
    job.close();
    this.#jobs.delete(attempt);
    this.#bin.put(job.folder);
    this.#leftBehind.add(attempt);
    this.#sweep ??= setTimeout(() => this.#sweepNow(), SWEEP_AFTER_MS);
  }

  find(attempt: string): Job | undefined {
    return this.#jobs.get(attempt);
  }

  all(): Job[] {
    return [...this.#jobs.values()];
  }

  reports(): JobReport[] {
    for (const job of this.#jobs.values()) this.#guarded(job, () => job.refresh());
    return [...this.#folderless.values(), ...[...this.#jobs.values()].map((job) => job.report)];
  }

  runningCount(): number {
    let count = 0;
    for (const job of this.#jobs.values()) if (job.report.state === 'running' || job.report.state === 'preparing') count++;
    return count;
  }

  /** @returns the working trees that jobs hold */
  leasedTrees(): string[] {
    return [...this.#jobs.values()].flatMap((job) => job.folder.readLease() ?? []);
  }

  hear(news: LaunchNews): void {
    const hearNow = (): void => {
      const job = this.#jobs.get(news.attempt);
      if (job && !job.isOver) this.#guarded(job, () => job.hear(news));
    };
    if (news.what === 'started') setTimeout(hearNow, SHORT_JOB_MS);
    else hearNow();
  }

  /** Lets go of everything; the jobs go on. */
  close(): void {
    clearInterval(this.#ticker);
    if (this.#sweep) this.#sweepNow();
    for (const job of this.#jobs.values()) job.close();
    void this.#bin.empty();
  }

  #sweepNow(): void {
    clearTimeout(this.#sweep);
    this.#sweep = undefined;
    killLeftovers(this.#leftBehind);
    this.#leftBehind.clear();
  }

  /** One job whose files cannot be read must not end the daemon that looks after the others. */
  #guarded(job: Job, act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#around.log(`job ${job.folder.attempt}: ${error instanceof Error ? error.stack : String(error)}`);
    }
  }
}
