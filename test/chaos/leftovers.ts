import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, globSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SLOTS } from './chaos-workers.ts';
import type { Finding } from './findings.ts';
import { processesIn } from './processes-in.ts';
import type { World } from './world.ts';

/** After the last task is over, workers are told to forget its jobs and look for what those left. */
const SETTLES_WITHIN_MS = 30_000;

/** What is still there of jobs although all tasks are over: looked for again and again, until nothing is found or time is up. */
export async function findLeftovers(world: World): Promise<Finding[]> {
  for (const deadlineMs = performance.now() + SETTLES_WITHIN_MS; ; await sleep(250)) {
    const found = look(world);
    if (found.length === 0 || performance.now() > deadlineMs) return found;
  }
}

function look({ folder, workers }: World): Finding[] {
  const findings: Finding[] = [];
  const find = (where: string, what: string): void => void findings.push({ kind: 'left behind', where, what });
  for (const { pid, job, words } of processesIn(folder))
    if (job !== undefined) find(job, `process ${pid} still runs: ${words.slice(0, 120)}`);
  for (const { name, home } of workers) {
    for (const job of globSync('run/*/*/jobs/*', { cwd: home })) find(name, `the folder of a job: ${path.join(home, job)}`);
    for (const lease of globSync('run/*/*/jobs/*/tree', { cwd: home })) find(name, `a checkout that is taken: ${path.join(home, lease)}`);
    for (const project of globSync('run/*/*/trees/*', { cwd: home })) {
      const trees = globSync('+([0-9])', { cwd: path.join(home, project) });
      // What was set aside may still run while its slot is given to another.
      if (trees.length > 2 * SLOTS) find(name, `${trees.length} checkouts in ${path.join(home, project)}, for ${SLOTS} slots`);
      for (const tree of trees) {
        const at = path.join(home, project, tree);
        if (!isWorktree(at)) find(name, `half a checkout: ${at}`);
      }
    }
  }
  return findings;
}

function isWorktree(folder: string): boolean {
  try {
    return execFileSync('git', ['rev-parse', '--is-inside-work-tree'], { cwd: folder, encoding: 'utf8', stdio: 'pipe' }).trim() === 'true';
  } catch {
    return false;
  }
}

/** The temporary folders of jobs, which lie outside of their workers' homes. */
export async function findTemporaryFolders({ workers, database }: World): Promise<Finding[]> {
  const { rows } = await database.db.query<{ id: string; worker_id: string }>('select id, worker_id from task_attempts');
  return rows.flatMap(({ id, worker_id }) => {
    const worker = workers.find((one) => one.id === worker_id);
    const [jobs] = worker ? globSync(`run/*/${worker.id}/jobs`, { cwd: worker.home }) : [];
    if (!worker || jobs === undefined) return [];
    const digest = createHash('sha256')
      .update(path.join(worker.home, jobs, id))
      .digest('hex')
      .slice(0, 12);
    const folder = path.join('/tmp', `helix-${process.getuid?.()}`, digest);
    return existsSync(folder)
      ? [{ kind: 'left behind' as const, where: worker.name, what: `the temporary folder of ${id}: ${folder}` }]
      : [];
  });
}
