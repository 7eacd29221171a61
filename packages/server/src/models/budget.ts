import type { BudgetCap, ProvidersConfig } from '@helixcode/protocol/config/providers-config';
import type { UserId } from '@helixcode/protocol/ids';
import { type NanoUsd, toNanoUsd } from './nano-usd.ts';

export type BudgetScope = 'run' | 'user' | 'fleet';

/** One purse that a call is paid from, and how much may be in use there. */
export interface Budget {
  scope: BudgetScope;
  /** Id of the run or the user; empty for the fleet. */
  subject: string;
  /** How long it lasts before a new one begins, by the calendar in UTC; a run has one for all its life. */
  per: 'day' | 'month' | undefined;
  capNanoUsd: NanoUsd | undefined;
  capTokens: number | undefined;
}

/** Whom a call is made for. */
export interface Payer {
  user: UserId;
  /** All calls of one run share its budget, those of its sub-agents too. */
  run?: string | undefined;
  /** Of this run, in place of the configured one. */
  budget?: BudgetCap | undefined;
}

/** The purses of a call. Those without a cap are kept too: a cap that is set later counts what was spent before. */
export function budgetsOf({ user, run, budget }: Payer, config: ProvidersConfig['budgets']): Budget[] {
  const capsOf = (cap: BudgetCap): Pick<Budget, 'capNanoUsd' | 'capTokens'> => ({
    capNanoUsd: cap.usd === undefined ? undefined : toNanoUsd(cap.usd),
    capTokens: cap.tokens,
  });
  return [
    { scope: 'fleet', subject: '', per: config.fleet.per, ...capsOf(config.fleet) },
    { scope: 'user', subject: user, per: config.user.per, ...capsOf(config.user) },
    ...(run === undefined ? [] : [{ scope: 'run' as const, subject: run, per: undefined, ...capsOf(budget ?? config.run) }]),
  ];
}
