import { setTimeout as pause } from 'node:timers/promises';
import type { RunResult, Workspace } from '@helixcode/agent/workspace';
import { CodedError } from '@helixcode/protocol/errors';
import type { AttemptId, WorkerId } from '@helixcode/protocol/ids';
import { type CommandResult, type WorkspaceAnswers, type WorkspaceOp, workspaceAnswers } from '@helixcode/protocol/worker/workspace';
import type { WorkerPool } from './worker-pool.ts';

/** How long whoever ends a command waits for its processes to be gone, should the link be away. */
const STOP_WITHIN_MS = 10_000;

/** What became of a command, by its id. */
export type CommandOutcome =
  | { state: 'finished'; result: RunResult }
  | { state: 'running' }
  /** It can be asked for, under its id. */
  | { state: 'never_begun' }
  /** It began, and how it ended was not recorded. */
  | { state: 'unknown'; reason: string };

/** The checkout of a running job, wherever that is. */
export interface RemoteWorkspace {
  /** Absolute path of it on its machine. */
  readonly root: string;
  /** The workspace for one call of a tool: the n-th command that it runs has the id `<callId>.<n>`, n from 1. */
  forCall(callId: string): Workspace;
  /** @throws CodedError `workspace.gone` where the machine or the job's folder is not there to be asked */
  outcome(commandId: string, signal?: AbortSignal): Promise<CommandOutcome>;
}

/** Which checkout. */
export interface WorkspacePlace {
  worker: WorkerId;
  /** Of the running job. */
  attempt: AttemptId;
  /** As an earlier `openWorkspace` found it; absent: the worker is asked. */
  root?: string | undefined;
}

/**
 * Opens the checkout of a running job to work in. What is asked for while the link is away is asked again over the next
 * one; a command that was begun goes on meanwhile and is found again by its id.
 *
 * @param signal ends the asking for the root
 * @throws CodedError `workspace.gone`; `workspace.failed` where the job has not begun yet
 */
export async function openWorkspace(
  pool: Pick<WorkerPool, 'work'>,
  { worker, attempt, root: known }: WorkspacePlace,
  signal?: AbortSignal,
): Promise<RemoteWorkspace> {
  const root = known ?? (await ask({ do: 'locate' }, signal)).root;

  async function ask<Do extends WorkspaceOp['do']>(
    op: Extract<WorkspaceOp, { do: Do }>,
    until?: AbortSignal,
    onRepeatedFailure?: (failure: CodedError) => WorkspaceAnswers[Do] | undefined,
  ): Promise<WorkspaceAnswers[Do]> {
    const { reply, isRepeated } = await pool.work(worker, attempt, op, until);
    if ('failure' in reply) {
      const failure = CodedError.fromFact(reply.failure);
      const instead = isRepeated ? onRepeatedFailure?.(failure) : undefined;
      if (instead === undefined) throw failure;
      return instead;
    }
    const parsed = workspaceAnswers[op.do].safeParse(reply.answer);
    if (parsed.success) return parsed.data as WorkspaceAnswers[Do];
    throw new CodedError('worker.protocol_violation', `worker ${worker} answered ${op.do} with something else: ${parsed.error.message}`);
  }

  async function run(id: string, request: Parameters<Workspace['run']>[0], until: AbortSignal): Promise<RunResult> {
    until.throwIfAborted();
    const { command, folder, timeoutMs, headBytes, tailBytes, maxOutputBytes } = request;
    try {
      return resultOf(await ask({ do: 'run', id, command, folder, timeoutMs, headBytes, tailBytes, maxOutputBytes }, until));
    } catch (error) {
      if (until.aborted) await stop(id);
      throw error;
    }
  }

  /** Ends a command. Should the link be away, that goes on when nobody waits for it any more. */
  async function stop(id: string): Promise<void> {
    const waited = new AbortController();
    const stopped = ask({ do: 'stop', id }).then(
      () => {},
      () => {}, // Whatever holds its machine is gone, or this server ends.
    );
    await Promise.race([stopped, pause(STOP_WITHIN_MS, undefined, { signal: waited.signal }).catch(() => {})]);
    waited.abort();
  }

  return {
    root,
    forCall(callId) {
      let commands = 0;
      return {
        root,
        async readFile(path, maxBytes) {
          const { bytes, hash } = await ask({ do: 'read', path, maxBytes });
          return { bytes: Buffer.from(bytes, 'base64'), hash };
        },
        async writeFile(path, bytes, expected) {
          const { hash } = await ask({ do: 'write', path, bytes: Buffer.from(bytes).toString('base64'), expected });
          return hash;
        },
        async removeFile(path, expected) {
          // What an earlier time of asking has removed is removed.
          await ask({ do: 'remove', path, expected }, undefined, ({ code }) => (code === 'workspace.file_missing' ? {} : undefined));
        },
        list: ({ folder, depth, maxEntries }) => ask({ do: 'list', folder, depth, maxEntries }),
        search: ({ pattern, path, glob, ignoreCase, maxMatches }) => ask({ do: 'search', pattern, path, glob, ignoreCase, maxMatches }),
        run: (request, until) => run(`${callId}.${++commands}`, request, until),
        treeHash: async () => (await ask({ do: 'tree_hash' })).hash,
      };
    },
    async outcome(id, until) {
      const outcome = await ask({ do: 'outcome', id }, until);
      return outcome.state === 'finished' ? { state: 'finished', result: resultOf(outcome.result) } : outcome;
    },
  };
}

function resultOf({ output, ...ending }: CommandResult): RunResult {
  return { ...ending, output: { ...output, head: Buffer.from(output.head, 'base64'), tail: Buffer.from(output.tail, 'base64') } };
}
