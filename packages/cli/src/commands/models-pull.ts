import { CodedError, type ErrorFact } from '@helixcode/protocol/errors';
import { connect } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';
import { formatBytes } from '../output/amounts.ts';
import { openLiveRegion } from '../output/live-region.ts';
import { serverSentEvents } from '../server-sent-events.ts';

interface Flags {
  provider?: string;
}

type Progress = { step: string; doneBytes: number; totalBytes: number };
type PullEvent = Progress | { done: true } | { error: ErrorFact };

export default async function modelsPull(this: HelixContext, flags: Flags, model: string): Promise<void> {
  const { out } = this;
  const body = { model, ...(flags.provider !== undefined && { provider: flags.provider }) };
  const response = await (await connect(this)).call('models.pull', { body });
  let shown = '';
  const region = out.canDraw ? openLiveRegion(process.stderr, () => [shown]) : undefined;
  let isDone = false;
  try {
    for await (const event of serverSentEvents<PullEvent>(response)) {
      if ('error' in event) throw CodedError.fromFact(event.error);
      if (out.format === 'jsonl') out.json(event);
      if ('done' in event) isDone = true;
      else {
        const line = lineOf(event, region !== undefined);
        if (!region && line !== shown) out.note(line);
        shown = line;
        region?.update();
      }
    }
  } finally {
    region?.close();
  }
  if (!isDone)
    throw new CodedError('model.pull_failed', `the server went away during the download of ${model}`, {
      next: `helix models pull ${model}`,
    });
  if (out.format === 'json') out.json({ model, done: true });
  else out.note(`${model} is there`);
}

/** Where nothing can be redrawn, each step is told once. */
function lineOf({ step, doneBytes, totalBytes }: Progress, withBytes: boolean): string {
  if (!withBytes || totalBytes === 0) return step;
  return `${step}  ${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}, ${Math.floor((100 * doneBytes) / totalBytes)} %`;
}
