import { setTimeout as sleep } from 'node:timers/promises';
import { CodedError } from '@helixcode/protocol/errors';
import type { TaskId, UserId } from '@helixcode/protocol/ids';
import { taskSubmission } from '@helixcode/protocol/task/task-spec';
import { isSettled } from '@helixcode/protocol/task/task-state';
import type { EventTail } from '../events/event-tail.ts';
import { listAttemptsOfTask } from '../tasks/attempt-sql.ts';
import { cancelTask } from '../tasks/cancel-task.ts';
import { readStream } from '../tasks/read-stream.ts';
import { submitTask } from '../tasks/submit-task.ts';
import { getTask } from '../tasks/task-sql.ts';
import type { PoolWorker } from '../workers/worker-pool.ts';

/** Files of a small program, content by path. */
export type FileTree = ReadonlyMap<string, Buffer>;

export interface CommandOrder {
  /** What people read in lists of tasks. */
  name: string;
  files: FileTree;
  command: string;
  /** Where it starts, below the folder of the files. */
  folder: string;
  timeoutMs: number;
}

export interface CommandResult {
  /** `undefined`: it took too long. */
  exitCode: number | undefined;
  /** Standard output and error, the end of it where it is long. */
  output: Buffer;
  /** The files afterwards; those before where it took too long. */
  files: FileTree;
}

/** Runs commands over some files on workers that have Node. */
export interface CommandRunner {
  /** Waits a moment for one. @throws CodedError `worker.not_found` when none is up */
  findWorker(signal: AbortSignal): Promise<void>;
  /** @throws CodedError of the task, when nothing is known of the command */
  run(order: CommandOrder, user: UserId, signal: AbortSignal): Promise<CommandResult>;
}

type TaskDeps = Parameters<typeof submitTask>[0] & { tail: Pick<EventTail, 'position' | 'subscribe'> };

/** Where the files seem to be. */
export const FILES_ROOT = '/workspace';

const MAX_OUTPUT_BYTES = 256 * 1024;
/** A program of a trial has a handful of files. */
const MAX_FILES = 200;
/** What a machine has is known some time after its worker is up. */
const FACTS_MS = 10_000;
const LOOK_AGAIN_MS = 100;
/** Time for a slot to become free. */
const PATIENCE_MS = 300_000;

/**
 * Commands as tasks of kind `shell`: what a model wrote runs where all other commands of people run, on a worker, and nowhere in the server. The files travel in the
 * command and come back in its output; the folder is removed at once.
 */
export function createCommandRunner(deps: TaskDeps): CommandRunner {
  return { findWorker, run };

  async function findWorker(signal: AbortSignal): Promise<void> {
    const isFit = ({ state, admission, labels }: PoolWorker): boolean => state === 'up' && admission === 'open' && labels.has('node');
    for (const beganMs = performance.now(); ; await sleep(LOOK_AGAIN_MS, undefined, { signal })) {
      if (deps.pool.workers().some(isFit)) return;
      if (performance.now() - beganMs > FACTS_MS) break;
    }
    throw new CodedError('worker.not_found', 'no worker with node is up: what models write runs on workers only', {
      next: 'helix workers list',
    });
  }

  async function run(order: CommandOrder, user: UserId, signal: AbortSignal): Promise<CommandResult> {
    signal.throwIfAborted();
    const ended = new AbortController();
    const after = await deps.tail.position(undefined);
    const task = await submitTask(
      deps,
      taskSubmission.parse({
        kind: 'shell',
        name: order.name,
        spec: { command: scriptOf(order), timeoutMs: order.timeoutMs },
        requires: ['node'],
        deadlineMs: order.timeoutMs + PATIENCE_MS,
      }),
      user,
    );
    try {
      for await (const { body } of deps.tail.subscribe({
        topic: `task:${task.id}`,
        after,
        signal: AbortSignal.any([signal, ended.signal]),
      }))
        if (body.type === 'task.moved' && isSettled(body.to)) break;
    } finally {
      ended.abort();
    }
    if (signal.aborted) {
      await cancelTask(deps, task.id).catch((error: unknown) => {
        if (!(error instanceof CodedError)) throw error;
      });
      throw new CodedError('model.cancelled', 'the suite was cancelled');
    }
    return resultOf(task.id, order);
  }

  async function resultOf(id: TaskId, { files }: CommandOrder): Promise<CommandResult> {
    const { state, failure } = await getTask(deps.db, id);
    const attempt = (await listAttemptsOfTask(deps.db, id)).at(-1);
    if (state === 'completed' && attempt) return readResult((await readStream(deps.db, attempt.id, 'out'))?.toString('latin1') ?? '');
    if (failure?.code === 'job.timed_out') return { exitCode: undefined, output: Buffer.alloc(0), files };
    throw failure ? CodedError.fromFact(failure) : new CodedError('task.cancelled', `the task ${id} of the suite is ${state}`);
  }
}

/** Unpacks the files, runs the command, and tells exit status, output and files as lines of base64. */
function scriptOf({ files, command, folder }: CommandOrder): string {
  const writes = [...files].map(([name, content]) => {
    const place = quote(`./${name}`);
    return `mkdir -p "$(dirname ${place})" && base64 -d > ${place} <<'END' || exit 97\n${wrapped(content.toString('base64'))}END`;
  });
  return [
    'd=$(mktemp -d) && mkdir "$d/files" && cd "$d/files" || exit 97',
    `trap 'rm -rf "$d"' EXIT`,
    ...writes,
    `(cd ${quote(`./${folder}`)} && exec /bin/sh -c ${quote(command)}) > "$d/out" 2>&1 < /dev/null`,
    'echo "exit $?"',
    `printf 'at '; pwd -P | tr -d '\\n' | base64 | tr -d '\\n'; echo`,
    `printf 'out '; tail -c ${MAX_OUTPUT_BYTES} "$d/out" | base64 | tr -d '\\n'; echo`,
    `find . -type f ! -path '*/node_modules/*' -size -512k | head -n ${MAX_FILES} | while IFS= read -r f; do`,
    `  printf 'file %s ' "$(printf %s "$f" | base64 | tr -d '\\n')"; base64 < "$f" | tr -d '\\n'; echo`,
    'done',
  ].join('\n');
}

function readResult(told: string): CommandResult {
  const files = new Map<string, Buffer>();
  let exitCode: number | undefined;
  let output = Buffer.alloc(0);
  let place = FILES_ROOT;
  for (const line of told.split('\n')) {
    const [word, first = '', second = ''] = line.split(' ');
    if (word === 'exit') exitCode = Number(first);
    if (word === 'at') place = Buffer.from(first, 'base64').toString('latin1');
    // Where the files lay for a moment means nothing to anybody.
    if (word === 'out') output = Buffer.from(Buffer.from(first, 'base64').toString('latin1').replaceAll(place, FILES_ROOT), 'latin1');
    if (word === 'file') files.set(Buffer.from(first, 'base64').toString().replace(/^\.\//, ''), Buffer.from(second, 'base64'));
  }
  if (exitCode === undefined) throw new Error(`a command of a suite told no exit status: ${told.slice(0, 200)}`);
  return { exitCode, output, files };
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** Lines of a length that every shell and every base64 reads. */
function wrapped(text: string): string {
  return text.replace(/.{1,76}/g, '$&\n');
}
