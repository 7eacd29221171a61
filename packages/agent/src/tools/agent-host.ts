import type { TestReport } from '@helixcode/protocol/test/test-result';
import type { Plan, PlanTotals } from '../plan/plan.ts';

export interface TestRequest {
  /** Only units whose path contains one of these; empty: the whole suite. */
  patterns: string[];
}

export interface Question {
  question: string;
  /** Answers to choose from; empty: any. */
  options: string[];
}

export interface SubAgentOrder {
  goal: string;
  minutes: number;
  budgetUsd?: number;
}

/** What a sub-agent left. Also one that was stopped leaves what it had. */
export interface SubAgentReport {
  id: string;
  ending: 'done' | 'deadline' | 'budget' | 'parked' | 'failed' | 'cancelled';
  /** Its last words; of one that was stopped, what it had found. */
  text: string;
  changedFiles: string[];
  /** Why, where it did not end by itself. */
  reason?: string;
}

/** What an agent asks of those around it: the pool, people, other agents. Each may take hours. */
export interface AgentHost {
  /** Runs tests of the files as they are now, divided over the pool. */
  runTests(request: TestRequest, signal: AbortSignal): Promise<TestReport>;
  /** Shows a plan. `isAccepted` is a person's word when a plan is what was asked for; otherwise the plan is only kept. */
  showPlan(plan: Plan, totals: PlanTotals, signal: AbortSignal): Promise<{ isAccepted: boolean; remarks?: string }>;
  ask(question: Question, signal: AbortSignal): Promise<{ answer: string }>;
  spawn(order: SubAgentOrder, signal: AbortSignal): Promise<SubAgentReport>;
}
