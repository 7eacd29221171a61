import type { BudgetView, UsageView } from '@helixcode/protocol/api/model-views';
import { connect } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';
import { countOf, formatTokens, formatUsd } from '../output/amounts.ts';

interface Flags {
  by: 'run' | 'user' | 'model';
  since?: string;
}

export default async function usage(this: HelixContext, flags: Flags): Promise<void> {
  const { out } = this;
  const answer = await (await connect(this)).call('usage.get', {
    query: { by: flags.by, ...(flags.since !== undefined && { since: flags.since }) },
  });
  out.list(
    answer.items,
    [
      { title: flags.by, cell: (row) => row.name ?? row.key },
      { title: 'calls', cell: (row) => String(row.calls) },
      { title: 'failed', cell: (row) => String(row.failed) },
      { title: 'unknown', cell: (row) => String(row.unknown) },
      { title: 'in', cell: (row) => formatTokens(row.inputTokens) },
      { title: 'cached', cell: (row) => formatTokens(row.cachedTokens) },
      { title: 'out', cell: (row) => formatTokens(row.outputTokens) },
      { title: 'cost', cell: costOf },
    ],
    { document: answer, whenEmpty: `no model was asked since ${answer.since.slice(0, 10)}` },
  );
  for (const budget of answer.budgets) out.note(standingOf(budget));
  const unknown = answer.items.reduce((sum, row) => sum + row.unknown, 0);
  if (unknown > 0) out.note(`${countOf(unknown, 'call')} ended without telling what came of it, and count at the most they can cost`);
}

function costOf({ costUsd, capUsd, calls, unpriced }: UsageView): string {
  if (unpriced === calls) return '?';
  return `${formatUsd(costUsd)}${unpriced > 0 ? ' + ?' : ''}${capUsd === undefined ? '' : ` of ${formatUsd(capUsd)}`}`;
}

function standingOf({ scope, period, spentUsd, reservedUsd, capUsd, spentTokens, capTokens }: BudgetView): string {
  const money = `${formatUsd(spentUsd)}${capUsd === undefined ? '' : ` of ${formatUsd(capUsd)}`}`;
  const tokens = capTokens === undefined ? '' : `, ${formatTokens(spentTokens)} of ${formatTokens(capTokens)} tokens`;
  const held = reservedUsd === 0 ? '' : `, ${formatUsd(reservedUsd)} set aside`;
  return `${scope === 'fleet' ? 'all users' : 'you'} in ${period}: ${money}${tokens}${held}`;
}
