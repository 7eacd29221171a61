import { CodedError } from '@helixcode/protocol/errors';
import type { Db } from '../db/db.ts';
import type { Budget } from './budget.ts';
import { type NanoUsd, toUsd } from './nano-usd.ts';
import { type AccountRow, type NewRequest, readAccounts, reserveRequest } from './request-sql.ts';

/**
 * Writes a call down and sets its worst case aside in all its budgets, in one transaction: afterwards it may be made.
 *
 * @throws CodedError `budget.spent`, with the budget that has no room in the details: whoever asked parks and asks a person;
 *   `budget.price_unknown` where money is limited and the price is not known
 */
export async function reserveCall(db: Db, request: NewRequest, budgets: readonly Budget[]): Promise<void> {
  if (!request.isPriced && budgets.some(({ capNanoUsd }) => capNanoUsd !== undefined)) throw priceUnknown(request, budgets);
  // Where nothing has a limit everything has room: there is nothing to undo.
  if (budgets.every(({ capNanoUsd, capTokens }) => capNanoUsd === undefined && capTokens === undefined))
    return void (await reserveRequest(db, request, budgets));
  await db.tx(async (tx) => {
    const held = await reserveRequest(tx, request, budgets);
    if (held.length === budgets.length) return;
    // Those without room are locked until the transaction is undone: they stand as they were when they refused.
    const full = budgets.filter(({ scope }) => !held.includes(scope));
    throw refusalOf(request, full, await readAccounts(tx, full));
  });
}

/** Which budget has no room, and how it stands. */
function refusalOf(request: NewRequest, budgets: readonly Budget[], accounts: AccountRow[]): Error {
  for (const budget of budgets) {
    const account = accounts.find(({ scope, subject }) => scope === budget.scope && subject === budget.subject);
    const money = shortage(budget.capNanoUsd, account?.spent_nano_usd, account?.reserved_nano_usd, request.reservedNanoUsd);
    const tokens = shortage(budget.capTokens, account?.spent_tokens, account?.reserved_tokens, request.reservedTokens);
    if (money) return spent(budget, account?.period ?? '', money, formatUsd, 'Usd');
    if (tokens) return spent(budget, account?.period ?? '', tokens, formatTokens, 'Tokens');
  }
  return new Error(`a budget of request ${request.id} refused it without a reason`);
}

interface Shortage {
  cap: number;
  spent: number;
  reserved: number;
  needed: number;
}

function shortage(cap: number | undefined, spent = 0, reserved = 0, needed: number): Shortage | undefined {
  return cap !== undefined && spent + reserved + needed > cap ? { cap, spent, reserved, needed } : undefined;
}

function spent(budget: Budget, period: string, short: Shortage, format: (amount: number) => string, unit: 'Usd' | 'Tokens'): CodedError {
  const inUnit = (amount: number): number => (unit === 'Usd' ? toUsd(amount) : amount);
  return new CodedError(
    'budget.spent',
    `${nameOf(budget, period)} is ${format(short.cap)}: ${format(short.spent)} is spent, ${format(short.reserved)} is set aside for calls under way, and this call may take ${format(short.needed)}`,
    {
      next: `helix usage --by ${budget.scope === 'fleet' ? 'user' : budget.scope}`,
      details: {
        scope: budget.scope,
        ...(budget.subject !== '' && { [budget.scope]: budget.subject }),
        [`cap${unit}`]: inUnit(short.cap),
        [`spent${unit}`]: inUnit(short.spent),
        [`reserved${unit}`]: inUnit(short.reserved),
        [`needed${unit}`]: inUnit(short.needed),
      },
    },
  );
}

function priceUnknown({ provider, model }: NewRequest, budgets: readonly Budget[]): CodedError {
  const limited = budgets.filter(({ capNanoUsd }) => capNanoUsd !== undefined).map((budget) => nameOf(budget, ''));
  return new CodedError(
    'budget.price_unknown',
    `what a call to ${provider}/${model} costs is not known, and ${limited.join(' and ')} is one of money`,
    { next: `set models["${model}"].price of provider ${provider} in helix.json`, details: { provider, model } },
  );
}

function nameOf({ scope, subject, per }: Budget, period: string): string {
  const when = period === '' ? (per === undefined ? '' : ` per ${per}`) : ` for ${period}`;
  if (scope === 'run') return `the budget of run ${subject}`;
  return scope === 'user' ? `the budget of user ${subject}${when}` : `the budget of the fleet${when}`;
}

function formatUsd(nanoUsd: NanoUsd): string {
  const usd = toUsd(nanoUsd);
  return `$${usd !== 0 && usd < 0.01 ? usd.toPrecision(2) : usd.toFixed(2)}`;
}

function formatTokens(tokens: number): string {
  return `${tokens.toLocaleString('en')} tokens`;
}
