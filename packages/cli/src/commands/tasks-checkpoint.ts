import { connect } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';
import { countOf, formatBytes, formatMs } from '../output/amounts.ts';

interface Flags {
  name?: string;
}

export default async function tasksCheckpoint(this: HelixContext, flags: Flags, id: string): Promise<void> {
  const { out } = this;
  const connection = await connect(this);
  const { items } = await connection.call('tasks.checkpoint', {
    params: { task: id },
    body: flags.name === undefined ? {} : { name: flags.name },
  });
  if (out.format !== 'text') return out.json({ items });
  for (const checkpoint of items) {
    const { number, files, bundleBytes, tookMs, leftOut, leftOutCount } = checkpoint;
    out.line(`${checkpoint.task}  checkpoint ${number}: ${countOf(files, 'file')}, ${formatBytes(bundleBytes)}, in ${formatMs(tookMs)}`);
    if (leftOutCount > 0)
      out.line(`  left out: ${leftOut.map((file) => file.path).join(', ')}${leftOutCount > leftOut.length ? ', …' : ''}`);
  }
  out.hint(`helix tasks rollback ${id} --to ${flags.name ?? items[0]?.number}`);
}
