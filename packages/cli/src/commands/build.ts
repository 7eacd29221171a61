import { createWriteStream } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { TaskView } from '@helixcode/protocol/api/views';
import { CodedError } from '@helixcode/protocol/errors';
import { nearestName } from '@helixcode/protocol/nearest-name';
import type { BuildSpec } from '@helixcode/protocol/task/task-spec';
import { type Connection, connect } from '../connect.ts';
import { exitStatusOf } from '../follow/follow-task.ts';
import { renderState } from '../follow/render-tree.ts';
import type { HelixContext } from '../helix-context.ts';
import { formatMs } from '../output/amounts.ts';
import { handOver } from '../repository/hand-over.ts';
import { readRepositoryConfig } from '../repository/repository-config.ts';
import { findRepository } from '../repository/snapshot.ts';
import { type SubmitFlags, submitAndFollow, termsOf } from '../submit-and-follow.ts';

interface Flags extends SubmitFlags {
  out?: string;
}

type Target = BuildSpec['targets'][number];

export default async function build(this: HelixContext, flags: Flags, ...names: string[]): Promise<void> {
  const { out } = this;
  const terms = termsOf(flags);
  const root = await findRepository(this.cwd);
  const { tools } = await readRepositoryConfig(root);
  const targets = selectTargets(tools.build ?? [], names, path.join(root, 'helix.json'));
  const connection = await connect(this);
  const source = await handOver(this, connection, root);
  const task = await submitAndFollow(
    this,
    connection,
    { kind: 'build', ...terms, spec: { ...source, targets, ...(tools.setup && { setup: tools.setup }) } },
    flags,
  );
  if (task === undefined) return;
  this.exitStatus = exitStatusOf(task);
  const built = targets.flatMap(({ name }) => task.tree.find((one) => one.name === name) ?? []);
  const wanted = names.length === 0 ? built : built.filter((target) => names.includes(target.name));
  const files =
    flags.out === undefined ? new Map<string, string>() : await saveOutputs(connection, wanted, path.resolve(this.cwd, flags.out));
  out.list(
    built,
    [
      { title: 'target', cell: (target) => target.name },
      { title: 'state', cell: (target) => target.state, look: (_, target) => renderState(target.state, out.style) },
      { title: 'how', cell: howOf },
      { title: 'outputs', cell: (target) => files.get(target.id) ?? target.failure?.message ?? '' },
    ],
    {
      document: {
        task: task.id,
        state: task.state,
        targets: built,
        ...(task.failure && { failure: task.failure }),
        files: Object.fromEntries(files),
      },
    },
  );
  if (task.failure && out.format === 'text')
    out.note(`${task.failure.message} (${task.failure.code})${task.failure.next === undefined ? '' : `\nnext: ${task.failure.next}`}`);
}

/** The named targets and everything they need, in the order of the file. */
function selectTargets(all: readonly Target[], names: readonly string[], file: string): Target[] {
  if (all.length === 0) throw new CodedError('config.invalid', `${file} has no targets in tools.build`, { next: 'helix config check' });
  const byName = new Map(all.map((target) => [target.name, target]));
  const chosen = new Set<string>();
  const add = (name: string, from?: string): void => {
    if (chosen.has(name)) return;
    const target = byName.get(name);
    if (target === undefined) {
      const meant = nearestName(name, byName.keys());
      const what = from === undefined ? `there is no target ${name}` : `target ${from} needs ${name}, which is no target`;
      throw new CodedError(
        'config.invalid',
        `${what}${meant === undefined ? `; known are ${[...byName.keys()].join(', ')}` : `; did you mean ${meant}?`}`,
        { next: 'helix build --help' },
      );
    }
    chosen.add(name);
    for (const need of target.needs) add(need, name);
  };
  for (const name of names.length > 0 ? names : byName.keys()) add(name);
  return all.filter((target) => chosen.has(target.name));
}

function howOf(target: TaskView): string {
  const result = target.result as { cached?: boolean; wallMs?: number | null } | undefined;
  if (result?.cached) return 'unchanged: from the cache';
  return typeof result?.wallMs === 'number' ? `built in ${formatMs(result.wallMs)}` : '';
}

async function saveOutputs(connection: Connection, targets: readonly TaskView[], folder: string): Promise<Map<string, string>> {
  await mkdir(folder, { recursive: true });
  const files = new Map<string, string>();
  for (const target of targets) {
    if (target.state !== 'completed') continue;
    const file = path.join(folder, `${target.name.replaceAll(/[^\w.-]+/g, '-')}.tar.zst`);
    const { body } = await connection.call('tasks.artifact', { params: { task: target.id } });
    if (body === null) continue;
    const unfinished = `${file}.part`;
    try {
      await pipeline(Readable.fromWeb(body as Parameters<typeof Readable.fromWeb>[0]), createWriteStream(unfinished));
      await rename(unfinished, file);
    } finally {
      await rm(unfinished, { force: true });
    }
    files.set(target.id, file);
  }
  return files;
}
