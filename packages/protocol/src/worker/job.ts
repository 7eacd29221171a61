import { z } from 'zod';
import { ATTEMPT_STATES } from '../task/attempt-state.ts';
import { checkpointLimits } from './checkpoint.ts';

const COMMIT = /^[0-9a-f]{40}([0-9a-f]{24})?$/;

const errorFact = z.object({
  code: z.string(),
  message: z.string(),
  next: z.string().optional(),
  details: z.record(z.string(), z.unknown()).optional(),
});

/** How a checkout is made ready (`npm ci` and its like), run once per `key` and platform; its outputs are cached. */
export const workspaceSetup = z.object({
  /** Content hash of the command, the lock files and the manifests; the worker adds its platform. */
  key: z.string(),
  command: z.string(),
  timeoutMs: z.number().int().positive(),
});

export const workspaceSpec = z.object({
  project: z.string(),
  /** Full hash of a commit that the server can hand out. */
  commit: z.string().regex(COMMIT),
  setup: workspaceSetup.optional(),
  /** A checkpoint whose files are put over those of the commit; what it did not record stays as the commit has it. */
  restore: z.object({ number: z.number().int().positive(), commit: z.string().regex(COMMIT) }).optional(),
});
export type WorkspaceSpec = z.infer<typeof workspaceSpec>;

/**
 * What a worker is asked to run. Equal specs for one attempt are the same request; a differing one is refused
 * (`job.spec_differs`). Secrets travel beside it and never reach the disk.
 */
export const jobSpec = z.object({
  /** A program for `/bin/sh`. */
  command: z.string(),
  env: z.record(z.string(), z.string()),
  /** Folder to start in, relative to the workspace (or to the job's own empty folder where there is none). */
  cwd: z.string().optional(),
  workspace: workspaceSpec.optional(),
  /** Wall time of the command, from its start; then TERM, and KILL after `killGraceMs`. */
  timeoutMs: z.number().int().positive().optional(),
  killGraceMs: z.number().int().nonnegative().default(5_000),
  /** Largest size of stdout and of stderr; a job that writes more is stopped with `output.too_large`. */
  outputLimitBytes: z.number().int().positive(),
  /** Blobs of archives that are unpacked into the checkout before the command starts: outputs of earlier jobs. */
  inputs: z.array(z.string()).optional(),
  /** After exit 0: files of the workspace that match become one archive, stored on the server by its hash. */
  outputs: z.array(z.string()).optional(),
  /** Snapshots of the checkout without being asked: every so often, and when the command did not end well. */
  checkpoint: z.object({ everyMs: z.number().int().positive().optional(), limits: checkpointLimits }).optional(),
  /** Commands that are run beside the job's own are shut in: always, or only where the worker can do that (`none`). */
  sandbox: z.object({ demand: z.enum(['full', 'none']), network: z.enum(['off', 'on']) }).optional(),
  /** `false`: it only holds a checkout, and waits; others may use its slot. */
  takesSlot: z.boolean().optional(),
  /** The worker stops the job by itself after so long without a link to the server: it may run elsewhere by then. */
  stopWithoutServerMs: z.number().int().positive().optional(),
});
export type JobSpec = z.infer<typeof jobSpec>;

/** The longest stream that a report may carry whole. */
export const INLINE_STREAM_BYTES = 8 * 1024;

/**
 * Where a job stands, derived by the worker from files at the moment of asking, so that it may be repeated at will.
 * `streams` maps a stream's name to its length in bytes so far, final once the state is over: `out`, `err`, and
 * `file:<path>` for what the command left in `$HELIX_OUTPUT_DIR`.
 */
export const jobReport = z.object({
  attempt: z.string(),
  state: z.enum(ATTEMPT_STATES),
  exitCode: z.number().int().optional(),
  /** Why it was lost, refused, cancelled, or stopped at a limit of its spec (then it is `exited`, with the status that TERM or KILL left). */
  reason: errorFact.optional(),
  streams: z.record(z.string(), z.number().int().nonnegative()),
  /**
   * Of a job that is over: the whole content (base64) of streams of at most `INLINE_STREAM_BYTES`, so that a short job
   * needs no channel. Told once, with the report of the end; a repeated report or a welcome leaves it out, and the server
   * then opens the streams as ever.
   */
  inline: z.record(z.string(), z.string()).optional(),
  /** Duration of the command so far, and the processor time of it and its children when it is over. */
  wallMs: z.number().nonnegative().optional(),
  cpuMs: z.number().nonnegative().optional(),
  /** How long the checkout and its set-up took, before the command began. */
  prepareMs: z.number().nonnegative().optional(),
  /** Hash of the archive of `outputs`, once it is stored on the server. */
  outputsBlob: z.string().optional(),
});
export type JobReport = z.infer<typeof jobReport>;
