import { connect } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';

interface Flags {
  task?: string;
  limit: number;
}

export default async function receiptsList(this: HelixContext, flags: Flags): Promise<void> {
  const query = { limit: flags.limit, ...(flags.task !== undefined && { task: flags.task }) };
  const { items } = await (await connect(this)).call('receipts.list', { query });
  this.out.list(
    items,
    [
      { title: 'receipt', cell: ({ receipt }) => receipt.id },
      { title: 'task', cell: ({ receipt }) => receipt.task },
      { title: 'kind', cell: ({ receipt }) => receipt.kind },
      { title: 'project', cell: ({ receipt }) => receipt.project.name },
      { title: 'tree', cell: ({ receipt }) => receipt.tree.slice(0, 12) },
      { title: 'at', cell: ({ receipt }) => receipt.finishedAt },
      { title: 'command', cell: ({ receipt }) => receipt.command },
    ],
    { whenEmpty: 'there are no receipts: a task gets one when it completes at a commit of a project' },
  );
}
