import type { ErrorFact } from '@helixcode/protocol/errors';
import { isOver } from '@helixcode/protocol/task/attempt-state';
import type { JobReport, JobSpec } from '@helixcode/protocol/worker/job';
import { bootId } from '../home/boot-id.ts';
import { diskFullError, freeDiskBytes } from '../home/disk-space.ts';
import { type JobFolder, LEFT_FILES_LIMIT } from './job-folder.ts';
import { begunAtMs, isShimAlive, type ShimStart } from './shim-files.ts';

/** With less than this free, a command that failed has most likely failed for lack of space. */
const FULL_BELOW_BYTES = 256 * 1024;

/**
 * Where a job stands, from its files alone.
 *
 * @param isPreparing whether the daemon is making its checkout ready: the one thing that has no file
 */
export function reportJob(folder: JobFolder, spec: JobSpec, isPreparing: boolean): JobReport {
  const report = outcomeOf(folder, spec, isPreparing);
  const prepareMs = folder.readPrepareMs();
  if (prepareMs !== undefined) report.prepareMs = prepareMs;
  for (const stream of ['out', 'err'] as const) report.streams[stream] = Math.min(folder.writtenBytes(stream), spec.outputLimitBytes);
  if (isOver(report.state)) addLeftFiles(folder, report);
  return report;
}

function outcomeOf(folder: JobFolder, spec: JobSpec, isPreparing: boolean): JobReport {
  const base = { attempt: folder.attempt, streams: {} };
  const end = folder.readEnd();
  if (end) return { ...base, state: end.state, reason: end.reason };
  const start = folder.readStart();
  if (start === undefined) return { ...base, state: isPreparing ? 'preparing' : 'assigned' };
  const wasAlive = isShimAlive(start, folder.path);
  // Asked in this order: a supervisor that was alive, or had not yet written, may have finished since.
  const exit = folder.readExit();
  const stop = folder.readStop();
  const startedAtMs = begunAtMs(start, folder.path);
  if (exit) {
    // A bad end is told when what it left is recorded.
    if (isOwedCheckpoint(folder, spec, exit.exitCode !== 0 || stop !== undefined))
      return { ...base, state: 'running', wallMs: Math.max(0, exit.atMs - startedAtMs) };
    const times = { exitCode: exit.exitCode, wallMs: Math.max(0, exit.atMs - startedAtMs), cpuMs: exit.cpuMs };
    if (stop?.kind === 'cancel') return { ...base, ...times, state: 'cancelled', reason: stop.reason };
    if (stop?.kind === 'orphaned') return { ...base, state: 'lost', reason: stop.reason };
    if (stop) return { ...base, ...times, state: 'exited', reason: stop.reason };
    const outputs = folder.readOutputs();
    if (exit.exitCode === 0 && spec.outputs?.length && !outputs) return { ...base, state: 'running', wallMs: times.wallMs };
    const reason = outputs?.reason ?? (exit.exitCode === 0 ? undefined : fullDisk(folder));
    return { ...base, ...times, state: 'exited', ...(reason && { reason }), ...(outputs?.blob && { outputsBlob: outputs.blob }) };
  }
  if (wasAlive) return { ...base, state: 'running', wallMs: Math.max(0, Date.now() - startedAtMs) };
  if (stop?.kind === 'cancel') return { ...base, state: 'cancelled', reason: stop.reason };
  return { ...base, state: 'lost', reason: stop?.reason ?? lostReason(start) };
}

/** @returns whether the job ended badly and its checkout is still to be recorded */
export function isOwedCheckpoint(folder: JobFolder, spec: JobSpec, endedBadly: boolean): boolean {
  return endedBadly && spec.checkpoint !== undefined && spec.workspace !== undefined && !folder.hasLastCheckpoint();
}

function lostReason(start: ShimStart | 'unreadable'): ErrorFact {
  const isOtherBoot = start !== 'unreadable' && start.boot !== bootId();
  return {
    code: 'job.lost',
    message: isOtherBoot
      ? 'the machine was rebooted while the job ran'
      : 'the supervisor of the job was killed before it could record an exit status',
    details: { cause: isOtherBoot ? 'reboot' : 'supervisor_gone' },
  };
}

function fullDisk(folder: JobFolder): ErrorFact | undefined {
  return freeDiskBytes(folder.path) < FULL_BELOW_BYTES ? diskFullError(folder.path).toFact() : undefined;
}

function addLeftFiles(folder: JobFolder, report: JobReport): void {
  const left = folder.leftFiles();
  let count = 0;
  for (const [path, size] of left) {
    if (++count > LEFT_FILES_LIMIT) break;
    report.streams[`file:${path}`] = size;
  }
  if (left.size > LEFT_FILES_LIMIT)
    report.reason ??= {
      code: 'output.too_large',
      message: `the job left more than ${LEFT_FILES_LIMIT} files in HELIX_OUTPUT_DIR; the others are not kept`,
      next: 'leave one archive instead of many files',
    };
}
