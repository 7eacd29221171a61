import type { ModelView } from '@helixcode/protocol/api/model-views';
import { connect } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';
import { formatTokens, formatUsd } from '../output/amounts.ts';

interface Flags {
  catalog?: boolean;
}

export default async function modelsList(this: HelixContext, flags: Flags): Promise<void> {
  const { out } = this;
  const answer = await (await connect(this)).call('models.list', { query: { catalog: flags.catalog ?? false } });
  out.list(
    answer.items,
    [
      { title: 'model', cell: (model) => model.name },
      { title: 'context', cell: (model) => (model.contextTokens === undefined ? '?' : formatTokens(model.contextTokens)) },
      { title: 'abilities', cell: abilitiesOf },
      { title: 'in / out per million', cell: priceOf },
      { title: 'source', cell: (model) => model.source },
      { title: 'asked for', cell: placeOf },
    ],
    { document: answer, whenEmpty: 'no model is configured and none was found on this server; see docs/models.md' },
  );
  for (const provider of answer.providers)
    if (provider.keyVariable !== undefined && !provider.hasKey)
      out.note(`${provider.name} has no key: set ${provider.keyVariable} for the server, and start it again`);
  if (answer.items.length > 0) out.hint('helix models test');
}

function abilitiesOf({ tools, reasoning, images }: ModelView): string {
  return [tools && 'tools', reasoning && 'reasoning', images && 'images'].filter(Boolean).join(',');
}

function priceOf({ price }: ModelView): string {
  if (!price) return '?';
  return price.inputUsd === 0 && price.outputUsd === 0 ? 'free' : `${formatUsd(price.inputUsd)} / ${formatUsd(price.outputUsd)}`;
}

function placeOf({ purposes, standsInFor }: ModelView): string {
  return [...purposes, ...standsInFor.map((purpose) => `(${purpose})`)].join(',');
}
