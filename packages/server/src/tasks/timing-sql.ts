import type { ProjectId } from '@helixcode/protocol/ids';
import type { Db } from '../db/db.ts';

/** Mean time of each unit; the unit named '' holds the cost of starting a shard. */
export async function readTimings(db: Db, project: ProjectId, runner: string): Promise<Map<string, number>> {
  const { rows } = await db.query<{ unit: string; mean_ms: number }>(
    `select unit, mean_ms from test_timings where project_id = $1 and runner = $2`,
    [project, runner],
  );
  return new Map(rows.map((row) => [row.unit, row.mean_ms]));
}

/** Folds new measurements in: half the weight is the newest run's, so that a changed test is known after two runs. */
export async function writeTimings(db: Db, project: ProjectId, runner: string, measured: Map<string, number>): Promise<void> {
  await db.query(
    `insert into test_timings (project_id, runner, unit, mean_ms)
     select $1, $2, unit, ms from unnest($3::text[], $4::float8[]) as m(unit, ms)
     on conflict (project_id, runner, unit)
       do update set mean_ms = (test_timings.mean_ms + excluded.mean_ms) / 2, updated_at = now()`,
    [project, runner, [...measured.keys()], [...measured.values()]],
  );
}
