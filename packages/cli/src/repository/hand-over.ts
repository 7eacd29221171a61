import type { Connection } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';
import { formatBytes } from '../output/amounts.ts';
import { findOrAddProject } from './registered-project.ts';
import { sendSnapshot } from './send-snapshot.ts';
import { takeSnapshot } from './snapshot.ts';

/** Gives the server the working tree as it is now. @returns what a task names to run in it */
export async function handOver(context: HelixContext, connection: Connection, root: string): Promise<{ project: string; commit: string }> {
  const [project, snapshot] = await Promise.all([findOrAddProject(connection, root), takeSnapshot(root)]);
  const bytes = await sendSnapshot(connection, project.id, root, snapshot.commit);
  if (context.out.format === 'text') {
    const what = snapshot.isDirty ? 'the working tree' : `commit ${snapshot.commit.slice(0, 12)}`;
    context.out.note(bytes === 0 ? `the server has ${what} of ${project.name}` : `sent ${what} of ${project.name} (${formatBytes(bytes)})`);
  }
  return { project: project.id, commit: snapshot.commit };
}
