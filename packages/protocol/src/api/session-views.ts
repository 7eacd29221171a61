import { z } from 'zod';
import { APPROVAL_KINDS, SESSION_ENTRY_TYPES, SESSION_STATES } from '../session/session.ts';
import { agentSpec } from '../task/task-spec.ts';
import { failureView } from './views.ts';

const time = z.string().describe('RFC 3339');

const reasoning = z.enum(['none', 'minimal', 'low', 'medium', 'high', 'xhigh']);

/** A goal for an agent. */
export const sessionStart = z.strictObject({
  project: z.string().describe('Id or name of a registered project'),
  commit: agentSpec.shape.commit,
  goal: z.string().min(1).max(1_000_000),
  mode: agentSpec.shape.mode.default('work').describe('plan: it only looks, and shows a plan that a person agrees to'),
  title: z.string().max(200).optional().describe('One line for people; the beginning of the goal when absent'),
  model: z.string().optional().describe('provider/model; the one of helix.json when absent'),
  reasoning: reasoning.optional(),
  budgetUsd: z.number().positive().optional().describe('At this it stops and asks; that of helix.json when absent'),
  turns: z.number().int().min(1).max(10_000).optional().describe('Answers of the model; then it stops and asks'),
  minutes: z.number().positive().optional().describe('Time at work; then it stops and asks'),
  verify: agentSpec.shape.verify
    .optional()
    .describe('Commands that must pass before it is done; `helix test`, where the project has tests, when absent'),
  test: agentSpec.shape.test,
  setup: agentSpec.shape.setup,
  requires: z.array(z.string()).default([]).describe('Capability labels its worker must have'),
  worker: z.string().optional().describe('Only this worker (id or name)'),
});
export type SessionStart = z.infer<typeof sessionStart>;

export const sessionView = z.object({
  id: z.string(),
  task: z.string().describe('The task that does its work at present, or did it last'),
  project: z.string(),
  title: z.string(),
  mode: agentSpec.shape.mode,
  model: z.string().describe('provider/model'),
  state: z.enum(SESSION_STATES),
  waitsFor: z.string().optional().describe('Why it does not go on, in a sentence'),
  base: z.string().describe('The commit it began at'),
  head: z.number().int().describe('The entry it stands at'),
  forkOf: z.string().optional(),
  worker: z.string().optional().describe('Name of the worker its files are on'),
  turns: z.number().int(),
  inputTokens: z.number().int(),
  outputTokens: z.number().int(),
  costUsd: z.number().optional().describe('Absent where a price is not known'),
  /** How it ended. */
  ending: z
    .object({
      text: z.string(),
      proof: z.enum(['verified', 'nothing_to_verify', 'plan']),
      receipts: z.array(z.string()),
      commit: z.string().optional().describe('Its files, as one commit on the base; absent when it changed none'),
      changedFiles: z.array(z.string()),
      plan: z.unknown().optional(),
    })
    .optional(),
  failure: failureView.optional(),
  createdAt: time,
});
export type SessionView = z.infer<typeof sessionView>;

/** One thing that was said or done. Which fields it has depends on its type. */
export const sessionEntryView = z.object({
  id: z.number().int(),
  parent: z.number().int().optional(),
  at: time,
  type: z.enum(SESSION_ENTRY_TYPES),
  /** What a person, the model or a tool said; of a tool bounded. */
  text: z.string().optional(),
  calls: z
    .array(z.object({ callId: z.string(), tool: z.string(), input: z.unknown() }))
    .optional()
    .describe('Of an answer'),
  callId: z.string().optional(),
  tool: z.string().optional(),
  isError: z.boolean().optional(),
  replayed: z.boolean().optional().describe('The answer was played from a recording: no model was asked'),
  inputTokens: z.number().int().optional(),
  outputTokens: z.number().int().optional(),
  costUsd: z.number().optional(),
  failure: failureView.optional().describe('Of what failed, or why it was parked'),
  receipts: z.array(z.object({ id: z.string(), command: z.string(), exitCode: z.number().int() })).optional(),
  checkpoint: z.object({ task: z.string(), number: z.number().int() }).optional().describe('The files as they were then'),
});
export type SessionEntryView = z.infer<typeof sessionEntryView>;

export const approvalView = z.object({
  id: z.string(),
  session: z.string(),
  task: z.string(),
  kind: z.enum(APPROVAL_KINDS),
  question: z.string(),
  options: z.array(z.string()).describe('Answers to choose from; any when empty'),
  plan: z.unknown().optional(),
  askedAt: time,
  answeredAt: time.optional(),
  answer: z.object({ isAccepted: z.boolean(), text: z.string().optional() }).optional(),
});
export type ApprovalView = z.infer<typeof approvalView>;

export const approvalAnswer = z.strictObject({
  accept: z.boolean().default(true).describe('Whether it may; of a question: whether it is answered at all'),
  text: z.string().max(100_000).optional().describe('The answer, or what is said about it'),
  turns: z.number().int().min(1).max(10_000).optional().describe('Of one that stopped at its limit: so many turns more'),
  minutes: z.number().positive().optional().describe('So many minutes more'),
  budgetUsd: z.number().positive().optional().describe('The new budget of the run, in all'),
});
export type ApprovalAnswer = z.infer<typeof approvalAnswer>;
