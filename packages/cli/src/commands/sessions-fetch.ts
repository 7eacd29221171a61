import { connect } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';
import { takeChanges } from '../repository/changes-branch.ts';
import { findRepository } from '../repository/snapshot.ts';
import { tellBranch } from '../sessions/report-end.ts';

export default async function sessionsFetch(this: HelixContext, _flags: object, id: string): Promise<void> {
  const { out } = this;
  const root = await findRepository(this.cwd);
  const connection = await connect(this);
  const session = await connection.call('sessions.get', { params: { session: id } });
  const branch = await takeChanges(connection, root, session);
  if (out.format !== 'text') return out.json({ branch: { name: branch.name, commit: branch.commit } });
  out.line(branch.name);
  tellBranch(this, branch);
}
