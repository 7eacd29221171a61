import type { Tidied, TidyLimits } from '@helixcode/protocol/worker/tidy';
import type { Removed } from './last-use.ts';
import type { RepoCache } from './repo-cache.ts';
import type { SetupCache } from './setup-cache.ts';
import type { WorktreePool } from './worktree-pool.ts';

/**
 * What was used so recently may be wanted by a job that is only being made ready: a repository without a checkout yet, an
 * archive about to be unpacked.
 */
const JUST_USED_MS = 3_600_000;

/**
 * Removes checkouts, repositories and set-up archives beyond the limits, the longest unused first, and never one in use.
 *
 * @param dryRun only finds them
 */
export async function tidyKept(
  kept: { pool: WorktreePool; repos: RepoCache; setups: SetupCache },
  limits: TidyLimits,
  dryRun: boolean,
): Promise<Tidied[]> {
  const unusedMs = Math.max(limits.unusedMs, JUST_USED_MS);
  const worktrees = await kept.pool.tidy(limits.unusedMs, dryRun);
  return [
    sumOf('worktrees', worktrees.removed),
    sumOf('repositories', await kept.repos.tidy(unusedMs, worktrees.projectsInUse, dryRun)),
    sumOf('setups', await kept.setups.tidy({ unusedMs, maxBytes: limits.setupBytes, atLeastMs: JUST_USED_MS }, dryRun)),
  ];
}

function sumOf(kind: Tidied['kind'], removed: Removed[]): Tidied {
  return {
    kind,
    count: removed.length,
    bytes: removed.reduce((sum, { bytes }) => sum + bytes, 0),
    ...(removed.length > 0 && { unusedMs: Math.max(...removed.map((one) => one.unusedMs)) }),
  };
}
