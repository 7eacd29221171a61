import type { ProjectView } from '@helixcode/protocol/api/views';
import { CodedError } from '@helixcode/protocol/errors';
import { newId } from '@helixcode/protocol/ids';
import type { Db } from '../db/db.ts';
import { appendEvents } from '../events/event-log.ts';
import type { Handlers } from '../http/handler.ts';
import type { Mirrors } from './mirror.ts';
import {
  findProject,
  insertProject,
  listProjects,
  listSnapshotsUsedBefore,
  noteSnapshot,
  type ProjectRow,
  refuseTakenName,
  setDefaultBranch,
  setSnapshotBytes,
} from './project-sql.ts';
import { takeSnapshot } from './take-snapshot.ts';

export interface ProjectDeps {
  db: Db;
  mirrors: Mirrors;
  /** How long a handed-over commit is kept after its last use. */
  snapshotKeepMs: number;
  /** Tells those who follow the event log that a transaction with events has committed. */
  wakeEvents(): void;
}

/** A client that is told of a commit names it in a task within this time, or hands it over anew. */
const TIP_STAYS_MS = 3_600_000;

type ProjectRoutes = 'projects.list' | 'projects.add' | 'projects.get' | 'projects.fetch' | 'projects.tips' | 'projects.snapshot';

export function createProjectHandlers({ db, mirrors, snapshotKeepMs, wakeEvents }: ProjectDeps): Pick<Handlers, ProjectRoutes> {
  return {
    async 'projects.list'() {
      return { items: (await listProjects(db)).map(toView) };
    },

    async 'projects.add'({ body: { name, source } }) {
      await refuseTakenName(db, name);
      const id = newId('project');
      const tip = source === undefined ? undefined : await mirrors.create(id, source);
      try {
        const row = await db.tx(async (tx) => {
          const row = await insertProject(tx, { id, name, source: source ?? null, default_branch: tip?.defaultBranch ?? null });
          await appendEvents(tx, [{ project: id, body: { type: 'project.added', name } }]);
          return row;
        });
        wakeEvents();
        return toView(row);
      } catch (error) {
        await mirrors.remove(id);
        throw error;
      }
    },

    async 'projects.get'({ params }) {
      return toView(await findProject(db, params.project));
    },

    async 'projects.fetch'({ params }) {
      const project = await findProject(db, params.project);
      if (project.source === null)
        throw new CodedError('project.source_unreadable', `project ${project.name} has no source: its code comes with each helix test`, {
          next: 'helix test',
        });
      const { commit, defaultBranch } = await mirrors.fetch(project.id, project.source);
      await setDefaultBranch(db, project.id, defaultBranch ?? null);
      return { commit };
    },

    async 'projects.tips'({ params }) {
      const project = await findProject(db, params.project);
      const goesSoon = await listSnapshotsUsedBefore(db, project.id, new Date(Date.now() - snapshotKeepMs + TIP_STAYS_MS));
      return { commits: await mirrors.tips(project.id, goesSoon) };
    },

    async 'projects.snapshot'({ params, query: { commit }, body, signal }) {
      const project = await findProject(db, params.project);
      // Noted before it is there: what is noted as used now is not removed.
      await noteSnapshot(db, project.id, commit);
      const bytes = await takeSnapshot(mirrors, project.id, commit, body, { signal });
      await setSnapshotBytes(db, project.id, commit, bytes);
      return { commit };
    },
  };
}

function toView(row: ProjectRow): ProjectView {
  return {
    id: row.id,
    name: row.name,
    ...(row.source !== null && { source: row.source }),
    ...(row.default_branch !== null && { defaultBranch: row.default_branch }),
    createdAt: row.created_at.toISOString(),
  };
}
