import type { TestReport } from '@helixcode/protocol/test/test-result';
import { connect } from '../connect.ts';
import { exitStatusOf, followTask } from '../follow/follow-task.ts';
import { renderTree } from '../follow/render-tree.ts';
import { createTaskModel } from '../follow/task-model.ts';
import { renderTestSummary } from '../follow/test-summary.ts';
import type { HelixContext } from '../helix-context.ts';

interface Flags {
  follow?: boolean;
}

export default async function tasksShow(this: HelixContext, flags: Flags, id: string): Promise<void> {
  const { out } = this;
  const connection = await connect(this);
  let task = await connection.call('tasks.get', { params: { task: id } });
  if (flags.follow) {
    const end = await followTask(this, connection, task);
    if (end === undefined) return;
    task = end;
    this.exitStatus = exitStatusOf(task);
  }
  if (out.format !== 'text') return out.json(task);
  const view = {
    width: out.isTty ? process.stdout.columns || 80 : Number.MAX_SAFE_INTEGER,
    height: task.tree.length + 1,
    nowMs: Date.now(),
    style: out.style,
  };
  for (const line of renderTree(createTaskModel(task), view)) out.line(line);
  if (isTestReport(task.kind, task.result)) for (const line of ['', ...renderTestSummary(task.result, out.style)]) out.line(line);
  else if (task.failure) out.line(`${task.failure.message} (${task.failure.code})`);
  if (task.failure?.next !== undefined && !task.failure.next.includes(id)) out.hint(task.failure.next);
  else if (task.tree.length === 0) out.hint(`helix tasks logs ${task.id}`);
}

function isTestReport(kind: string, result: unknown): result is TestReport {
  return kind === 'test' && typeof result === 'object' && result !== null && 'totals' in result;
}
