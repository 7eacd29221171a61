import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { CodedError } from '@helixcode/protocol/errors';

/** So many agents are kept beside the one that runs: the last one is what a daemon may still be started from. */
const KEPT = 2;

/**
 * Puts an agent into the worker's home, `agents/<hash>.cjs`, after it was checked and has answered.
 *
 * @param fetch gets the file from the server; not asked where the agent is there already
 * @returns its path
 * @throws CodedError `worker.bootstrap_failed` when it is not what the server announced, or does not run here
 */
export async function storeAgent(root: string, agent: { hash: string; sha256: string }, fetch: () => Promise<Buffer>): Promise<string> {
  const folder = join(root, 'agents');
  const path = join(folder, `${agent.hash}.cjs`);
  if (!/^[0-9a-f]{16}$/.test(agent.hash)) throw refused(`the server names its agent ${JSON.stringify(agent.hash)}`);
  if (existsSync(path)) return path;
  const content = await fetch();
  const sha256 = createHash('sha256').update(content).digest('hex');
  if (sha256 !== agent.sha256) throw refused(`the agent ${agent.hash} arrived with the hash ${sha256} instead of ${agent.sha256}`);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const draft = join(folder, `${agent.hash}.${process.pid}.tmp.cjs`);
  try {
    writeFileSync(draft, content, { mode: 0o600, flush: true });
    await expectRuns(draft, agent.hash);
    renameSync(draft, path);
  } finally {
    rmSync(draft, { force: true });
  }
  removeOld(folder, path);
  return path;
}

async function expectRuns(path: string, hash: string): Promise<void> {
  const { stdout } = await promisify(execFile)(process.execPath, [...process.execArgv, path, 'version']).catch((cause: unknown) => {
    throw refused(`the agent ${hash} does not run here`, cause);
  });
  const said = (JSON.parse(stdout) as { agent?: unknown }).agent;
  if (said !== hash) throw refused(`what the server calls agent ${hash} calls itself ${String(said)}`);
}

function removeOld(folder: string, newest: string): void {
  const aged = readdirSync(folder)
    .map((name) => join(folder, name))
    .filter((path) => path !== newest && path !== process.argv[1])
    .map((path) => ({ path, changedMs: statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0 }))
    .sort((one, other) => other.changedMs - one.changedMs);
  for (const { path } of aged.slice(KEPT)) rmSync(path, { force: true });
}

function refused(message: string, cause?: unknown): CodedError {
  return new CodedError('worker.bootstrap_failed', message, { next: 'helix down && helix up   (on the machine of the server)', cause });
}
