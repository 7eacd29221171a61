import { CodedError } from '@helixcode/protocol/errors';
import type { ProjectId } from '@helixcode/protocol/ids';
import type { Db } from '../db/db.ts';

/** A row of `projects`. */
export interface ProjectRow {
  id: ProjectId;
  name: string;
  /** Path or URL it is fetched from; null for one that lives from snapshots alone. */
  source: string | null;
  default_branch: string | null;
  created_at: Date;
}

/** @throws CodedError `project.exists` when another project has this name */
export async function insertProject(db: Db, project: Pick<ProjectRow, 'id' | 'name' | 'source' | 'default_branch'>): Promise<ProjectRow> {
  const { rows } = await db.query<ProjectRow>(
    `insert into projects (id, name, source, default_branch) values ($1, $2, $3, $4)
     on conflict (name) do nothing
     returning *`,
    [project.id, project.name, project.source, project.default_branch],
  );
  if (!rows[0]) throw projectExists(project.name);
  return rows[0];
}

/** @throws CodedError `project.not_found` */
export async function findProject(db: Db, idOrName: string): Promise<ProjectRow> {
  const { rows } = await db.query<ProjectRow>(`select * from projects where id = $1 or name = $1 order by id = $1 desc limit 1`, [
    idOrName,
  ]);
  if (!rows[0]) throw new CodedError('project.not_found', `there is no project ${idOrName}`, { next: 'helix projects list' });
  return rows[0];
}

/** @throws CodedError `project.exists` when the name is taken */
export async function refuseTakenName(db: Db, name: string): Promise<void> {
  const { rowCount } = await db.query('select from projects where name = $1', [name]);
  if (rowCount > 0) throw projectExists(name);
}

/** By name. */
export async function listProjects(db: Db): Promise<ProjectRow[]> {
  const { rows } = await db.query<ProjectRow>('select * from projects order by name');
  return rows;
}

export async function setDefaultBranch(db: Db, project: ProjectId, branch: string | null): Promise<void> {
  await db.query('update projects set default_branch = $2 where id = $1 and default_branch is distinct from $2', [project, branch]);
}

/** Says that a handed-over commit is used now: it is kept for as long again. */
export async function noteSnapshot(db: Db, project: ProjectId, commit: string): Promise<void> {
  await db.query(
    `insert into snapshots (project_id, commit_hash) values ($1, $2)
     on conflict (project_id, commit_hash) do update set used_at = now()`,
    [project, commit],
  );
}

/** @param bytes the size in which it came */
export async function setSnapshotBytes(db: Db, project: ProjectId, commit: string, bytes: number): Promise<void> {
  await db.query(`update snapshots set bundle_bytes = $3 where project_id = $1 and commit_hash = $2`, [project, commit, bytes]);
}

/** Commits that were last used before then. */
export async function listSnapshotsUsedBefore(db: Db, project: ProjectId, before: Date): Promise<Set<string>> {
  const { rows } = await db.query<{ commit_hash: string }>(`select commit_hash from snapshots where project_id = $1 and used_at < $2`, [
    project,
    before,
  ]);
  return new Set(rows.map((row) => row.commit_hash));
}

function projectExists(name: string): CodedError {
  return new CodedError('project.exists', `a project named ${name} is registered already`, { next: 'helix projects list' });
}
