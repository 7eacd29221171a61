import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { stopEmbeddedPostgres } from '@helixcode/server/db/embedded-postgres';
import { processLockHolder, tryProcessLock } from '@helixcode/server/db/process-lock';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  interface ProvidedContext {
    /** Folder of the one PostgreSQL of this run: the first test that needs it starts it, the others adopt it. */
    postgresFolder: string;
  }
}

const prefix = 'helixcode-test-postgres-';

/** One PostgreSQL for a whole run of tests, which costs nothing when none of them needs it. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  await removeLeftovers();
  const folder = mkdtempSync(path.join(tmpdir(), prefix));
  tryProcessLock(runLock(folder), 'a run of tests');
  project.provide('postgresFolder', folder);
  return () => remove(folder);
}

/** A run that was killed could not stop its PostgreSQL. */
async function removeLeftovers(): Promise<void> {
  for (const name of readdirSync(tmpdir())) {
    const folder = path.join(tmpdir(), name);
    if (!name.startsWith(prefix) || statSync(folder, { throwIfNoEntry: false })?.uid === undefined) continue;
    // Made and locked in two steps: a folder without a lock may be one that is just being made.
    if (processLockHolder(runLock(folder)) !== undefined || readdirSync(folder).length === 0) continue;
    await remove(folder).catch(() => {});
  }
}

async function remove(folder: string): Promise<void> {
  await stopEmbeddedPostgres(folder);
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}

function runLock(folder: string): string {
  return path.join(folder, 'run.lock');
}
