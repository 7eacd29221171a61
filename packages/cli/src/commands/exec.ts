import { CodedError } from '@helixcode/protocol/errors';
import { connect } from '../connect.ts';
import { exitStatusOf } from '../follow/follow-task.ts';
import { streamOutput } from '../follow/stream-output.ts';
import { rootOf } from '../follow/task-model.ts';
import type { HelixContext } from '../helix-context.ts';
import { handOver } from '../repository/hand-over.ts';
import { findRepository } from '../repository/snapshot.ts';
import { type SubmitFlags, submitAndFollow, termsOf } from '../submit-and-follow.ts';

interface Flags extends SubmitFlags {
  checkout?: boolean;
  env?: readonly string[];
  timeout?: number;
  exitCode?: boolean;
}

export default async function exec(this: HelixContext, flags: Flags, ...command: string[]): Promise<void> {
  const { out } = this;
  const env = readEnvironment(flags.env ?? []);
  const terms = termsOf(flags);
  if (flags.checkpointEvery !== undefined && !flags.checkout)
    throw new CodedError('cli.bad_usage', '--checkpoint-every records the files of a checkout: it needs --checkout', {
      next: 'helix exec --help',
    });
  const root = flags.checkout ? await findRepository(this.cwd) : undefined;
  const connection = await connect(this);
  const source = root === undefined ? {} : await handOver(this, connection, root);

  const unread = new AbortController();
  const streams: Promise<void>[] = [];
  let newest = 0;
  const pass = (task: string, attempt: number): void => {
    const options = { untilOver: true, signal: unread.signal };
    streams.push(
      streamOutput(connection, { task, stream: 'out', attempt }, out.write, options),
      streamOutput(connection, { task, stream: 'err', attempt }, out.writeError, options),
    );
    // Its failure is seen when all are awaited, after the task's own end.
    for (const stream of streams) stream.catch(() => {});
  };
  try {
    const task = await submitAndFollow(
      this,
      connection,
      {
        kind: 'shell',
        ...terms,
        spec: {
          ...source,
          command: command.length === 1 ? (command[0] ?? '') : command.map(quoted).join(' '),
          env,
          ...(flags.timeout !== undefined && { timeoutMs: flags.timeout }),
        },
      },
      flags,
      {
        isQuiet: true,
        onModel(model) {
          const { id, attempt } = rootOf(model);
          if (attempt === undefined || attempt.number <= newest) return;
          newest = attempt.number;
          if (newest > 1) out.note(`attempt ${newest}`);
          if (out.format === 'text') pass(id, newest);
        },
      },
    );
    if (task === undefined) return;
    await Promise.all(streams);
    const exitCode = task.attempt?.exitCode;
    this.exitStatus = flags.exitCode && exitCode !== undefined ? exitCode : exitStatusOf(task);
    if (out.format !== 'text') out.json(task);
    else if (task.failure && !(flags.exitCode && exitCode !== undefined))
      out.note(`${task.failure.message} (${task.failure.code})${task.failure.next === undefined ? '' : `\nnext: ${task.failure.next}`}`);
  } finally {
    unread.abort();
  }
}

function readEnvironment(pairs: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf('=');
      if (at < 1) throw new CodedError('cli.bad_usage', `--env ${pair} is not NAME=value`, { next: 'helix exec --help' });
      return [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
}

/** As one word for /bin/sh. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
