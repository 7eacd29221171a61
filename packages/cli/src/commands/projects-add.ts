import { existsSync } from 'node:fs';
import path from 'node:path';
import { connect } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';
import { nameOfOrigin } from '../repository/registered-project.ts';
import { findRepository } from '../repository/snapshot.ts';

interface Flags {
  name?: string;
}

export default async function projectsAdd(this: HelixContext, flags: Flags, given: string): Promise<void> {
  const { out } = this;
  // What exists here is a path, also when it looks like ssh's host:path.
  const local = path.resolve(this.cwd, given);
  const source = existsSync(local) ? await findRepository(local) : given;
  const name = flags.name ?? nameOfOrigin(source) ?? path.basename(source).replace(/\.git$/, '');
  const connection = await connect(this);
  const project = await connection.call('projects.add', { body: { name, source } });
  if (out.format !== 'text') return out.json(project);
  out.note(`project ${project.name} is registered${project.defaultBranch === undefined ? '' : `, with branch ${project.defaultBranch}`}`);
  out.line(project.id);
}
