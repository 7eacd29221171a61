/** What bounds one run from inside. Money is bounded from outside: it is reserved before each call. */
export interface AgentLimits {
  /** Answers of the model. */
  turns: number;
  /** Time at work; what is spent parked does not count. */
  wallMs: number;
  /** How often the same call may give the same result, one after the other, or a round of up to four calls may come again. */
  repeats: number;
  /** Failures of the model, empty answers, or answers cut at their limit, in a row. */
  failures: number;
  /** How often an end may be refused for want of evidence. */
  refusedEnds: number;
}

export const USUAL_LIMITS: AgentLimits = { turns: 200, wallMs: 4 * 3_600_000, repeats: 5, failures: 3, refusedEnds: 5 };
