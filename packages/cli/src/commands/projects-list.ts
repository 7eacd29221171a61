import { connect } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';

export default async function projectsList(this: HelixContext): Promise<void> {
  const { items } = await (await connect(this)).call('projects.list');
  this.out.list(
    items,
    [
      { title: 'name', cell: (project) => project.name },
      { title: 'branch', cell: (project) => project.defaultBranch ?? '-' },
      { title: 'source', cell: (project) => project.source ?? 'snapshots of working trees' },
      { title: 'id', cell: (project) => project.id },
    ],
    { whenEmpty: 'there are no projects; `helix test` in a repository registers it' },
  );
}
