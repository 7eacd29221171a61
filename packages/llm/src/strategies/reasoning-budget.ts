import { addUsage, type ModelDone, type ModelUsage, NO_USAGE } from '../model-port.ts';

/** What a strategy may spend. At least one bound keeps every strategy finite: the number of calls. */
export interface ReasoningBudget {
  calls: number;
  outputTokens?: number;
  costUsd?: number;
}

/** What was spent so far, against a budget. */
export class Spending {
  readonly #budget: ReasoningBudget;
  calls = 0;
  usage: ModelUsage = NO_USAGE;
  /** `undefined` once a call had no known price. */
  costUsd: number | undefined = 0;

  constructor(budget: ReasoningBudget) {
    this.#budget = budget;
  }

  /** Whether one more call may be begun. The last one may pass a bound of tokens or money: what it uses is known only after it. */
  canCall(): boolean {
    return (
      this.calls < this.#budget.calls &&
      this.usage.outputTokens < (this.#budget.outputTokens ?? Number.POSITIVE_INFINITY) &&
      (this.costUsd ?? 0) < (this.#budget.costUsd ?? Number.POSITIVE_INFINITY)
    );
  }

  begin(): void {
    this.calls++;
  }

  add({ usage, costUsd }: ModelDone): void {
    this.usage = addUsage(this.usage, usage);
    this.costUsd = this.costUsd === undefined || costUsd === undefined ? undefined : this.costUsd + costUsd;
  }
}
