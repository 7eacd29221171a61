import type { FitView } from '@helixcode/protocol/api/model-views';
import { connect } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';
import { formatBytes, formatTokens } from '../output/amounts.ts';

interface Flags {
  context?: number;
  quantisation?: string;
}

const WORDS: Record<FitView['fit'], string> = { fits: 'fits', fits_with_offload: 'fits with offload', does_not_fit: 'does not fit' };

export default async function modelsFit(this: HelixContext, flags: Flags, model: string): Promise<void> {
  const { out } = this;
  const query = {
    model,
    ...(flags.context !== undefined && { contextTokens: flags.context }),
    ...(flags.quantisation !== undefined && { quantisation: flags.quantisation }),
  };
  const answer = await (await connect(this)).call('models.fit', { query });
  out.list(
    answer.items,
    [
      { title: 'machine', cell: ({ machine }) => machine },
      {
        title: 'fit',
        cell: ({ fit }) => WORDS[fit],
        look: (text, { fit }) => (fit === 'does_not_fit' ? out.style.red(text) : fit === 'fits' ? out.style.green(text) : text),
      },
      {
        title: 'runs on',
        cell: ({ runsOn, gpuShare }) => (runsOn === 'gpu+cpu' ? `gpu ${Math.round(gpuShare * 100)} %, cpu` : (runsOn ?? '')),
      },
      { title: 'free memory', cell: ({ freeMemoryBytes }) => formatBytes(freeMemoryBytes) },
      { title: 'graphics', cell: ({ gpuMemoryBytes }) => (gpuMemoryBytes === 0 ? 'none' : formatBytes(gpuMemoryBytes)) },
      { title: 'largest context', cell: ({ largestContextTokens }) => formatTokens(largestContextTokens) },
    ],
    { document: answer },
  );
  out.note(
    `${answer.model} needs ${formatBytes(answer.needBytes)} with ${formatTokens(answer.contextTokens)} tokens of context, by the ${answer.basis}`,
  );
}
