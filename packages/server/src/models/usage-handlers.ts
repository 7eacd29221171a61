import type { BudgetView, UsageView } from '@helixcode/protocol/api/model-views';
import type { ProvidersConfig } from '@helixcode/protocol/config/providers-config';
import type { Db } from '../db/db.ts';
import type { Handlers } from '../http/handler.ts';
import { budgetsOf } from './budget.ts';
import { toUsd } from './nano-usd.ts';
import { readAccounts } from './request-sql.ts';
import { beginningOfMonth, sumUsage, type UsageRow } from './usage-sql.ts';

export function usageHandlers({ db, config }: { db: Db; config: ProvidersConfig }): Pick<Handlers, 'usage.get'> {
  return {
    'usage.get': async ({ query, user }) => {
      const since = query.since === undefined ? await beginningOfMonth(db) : new Date(query.since);
      const budgets = budgetsOf({ user }, config.budgets);
      const [rows, accounts] = await Promise.all([sumUsage(db, query.by, since.toISOString()), readAccounts(db, budgets)]);
      return {
        since: since.toISOString(),
        items: rows.map(viewUsage),
        budgets: accounts.flatMap((account): BudgetView[] => {
          const cap = budgets.find(({ scope }) => scope === account.scope);
          if (account.scope === 'run' || !cap) return [];
          return [
            {
              scope: account.scope,
              period: account.period,
              spentUsd: toUsd(account.spent_nano_usd),
              spentTokens: account.spent_tokens,
              reservedUsd: toUsd(account.reserved_nano_usd),
              reservedTokens: account.reserved_tokens,
              ...(cap.capNanoUsd !== undefined && { capUsd: toUsd(cap.capNanoUsd) }),
              ...(cap.capTokens !== undefined && { capTokens: cap.capTokens }),
            },
          ];
        }),
      };
    },
  };
}

function viewUsage(row: UsageRow): UsageView {
  return {
    key: row.key,
    ...(row.name !== null && { name: row.name }),
    calls: row.calls,
    failed: row.failed,
    unknown: row.unknown,
    open: row.open,
    unpriced: row.unpriced,
    inputTokens: row.input_tokens,
    cachedTokens: row.cached_tokens,
    cacheWriteTokens: row.cache_write_tokens,
    outputTokens: row.output_tokens,
    reasoningTokens: row.reasoning_tokens,
    costUsd: toUsd(row.booked_nano_usd),
    unknownUsd: toUsd(row.unknown_nano_usd),
    reservedUsd: toUsd(row.reserved_nano_usd),
    ...(row.cap_nano_usd !== null && { capUsd: toUsd(row.cap_nano_usd) }),
    ...(row.cap_tokens !== null && { capTokens: row.cap_tokens }),
  };
}
