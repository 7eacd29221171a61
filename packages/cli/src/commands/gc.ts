import type { GcItem } from '@helixcode/protocol/api/gc-report';
import { connect } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';
import { formatAge, formatBytes } from '../output/amounts.ts';

const NOUNS: Record<GcItem['kind'], string> = {
  output: 'output of attempts',
  checkpoints: 'checkpoints',
  tasks: 'task trees',
  snapshots: 'handed-over commits',
  blobs: 'archives',
  events: 'events',
  connections: 'moves of connections',
  workflows: 'drivers that are over',
  worktrees: 'checkouts',
  repositories: 'repositories',
  setups: 'set-up archives',
};

export default async function gc(this: HelixContext, flags: { dryRun?: boolean }): Promise<void> {
  const { out } = this;
  const connection = await connect(this);
  const report = await connection.call('server.gc', { body: { dryRun: flags.dryRun ?? false } });
  const found = report.items.filter((item) => item.count > 0);
  const nowMs = Date.now();
  out.list(
    found,
    [
      { title: report.dryRun ? 'would remove' : 'removed', cell: (item) => NOUNS[item.kind] },
      { title: 'where', cell: (item) => item.worker ?? 'server' },
      { title: 'count', cell: (item) => String(item.count) },
      { title: 'size', cell: (item) => (item.bytes === undefined ? '' : formatBytes(item.bytes)) },
      { title: 'oldest', cell: (item) => (item.oldest === undefined ? '' : formatAge(item.oldest, nowMs)) },
    ],
    { document: report, whenEmpty: 'there is nothing to remove' },
  );
  if (found.length > 0) out.hint(report.dryRun ? 'helix gc removes it' : 'helix config show tells the limits (retention.…)');
}
