import { CodedError } from '@helixcode/protocol/errors';
import { connectOrStart } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';
import { handOver } from '../repository/hand-over.ts';
import { readRepositoryConfig } from '../repository/repository-config.ts';
import { findRepository } from '../repository/snapshot.ts';
import { followSession } from '../sessions/follow-session.ts';
import { reportEnd } from '../sessions/report-end.ts';

interface Flags {
  plan?: boolean;
  model?: string;
  budget?: number;
  turns?: number;
  /** Milliseconds. */
  wait?: number;
  yes?: boolean;
  verify?: readonly string[];
  on?: string;
  requires?: readonly string[];
  detach?: boolean;
}

export default async function run(this: HelixContext, flags: Flags, ...words: string[]): Promise<void> {
  const { out } = this;
  const goal = words.join(' ').trim();
  if (goal === '') throw badUsage('the goal is empty: say what is to be done');
  if (flags.yes && flags.detach) throw badUsage('--yes agrees while the session is followed: it cannot go with --detach');
  const root = await findRepository(this.cwd);
  const { tools } = await readRepositoryConfig(root);
  const verify = flags.verify ?? tools.verify;
  const connection = await connectOrStart(this);
  const source = await handOver(this, connection, root);
  const session = await connection.call('sessions.start', {
    body: {
      ...source,
      goal,
      mode: flags.plan ? 'plan' : 'work',
      ...(flags.model !== undefined && { model: flags.model }),
      ...(flags.budget !== undefined && { budgetUsd: flags.budget }),
      ...(flags.turns !== undefined && { turns: flags.turns }),
      ...(verify !== undefined && { verify: [...verify] }),
      ...(tools.test !== undefined && { test: tools.test }),
      ...(tools.setup !== undefined && { setup: tools.setup }),
      ...(flags.requires && { requires: [...flags.requires] }),
      ...(flags.on !== undefined && { worker: flags.on }),
    },
  });
  if (flags.detach) {
    if (out.format === 'text') out.line(session.id);
    else out.json({ session });
    out.hint(`helix sessions attach ${session.id}`);
    return;
  }
  if (out.format === 'jsonl') out.json({ session });
  out.note(`session ${session.id} on ${connection.baseUrl}, with ${session.model}`);
  const followed = await followSession(this, connection, session.id, { waitMs: flags.wait, agrees: flags.yes ?? false });
  if (followed) await reportEnd(this, connection, followed);
}

function badUsage(message: string): CodedError {
  return new CodedError('cli.bad_usage', message, { next: 'helix run --help' });
}
