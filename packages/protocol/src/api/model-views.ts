import { z } from 'zod';
import { modelGates } from '../config/model-gates.ts';
import { MODEL_PURPOSES } from '../model/model-purpose.ts';
import { MODEL_SUITES, SUITE_STRATEGIES } from '../model/model-suite.ts';
import { PROVIDER_KINDS } from '../model/provider-kind.ts';
import { failureView } from './views.ts';

const usd = z.number().describe('US dollars');
const count = z.number().int();

export const providerView = z.object({
  name: z.string(),
  kind: z.enum(PROVIDER_KINDS),
  baseUrl: z.string().optional().describe("Absent: the vendor's own"),
  keyVariable: z.string().optional().describe('Environment variable of the server that its key is taken from; absent: none is needed'),
  hasKey: z.boolean(),
});

export const modelView = z.object({
  name: z.string().describe('provider/model'),
  source: z.enum(['configured', 'local', 'catalog']).describe('Named in helix.json, found on a local server, or known by its vendor'),
  purposes: z.array(z.enum(MODEL_PURPOSES)).describe('What it is asked for first'),
  standsInFor: z.array(z.enum(MODEL_PURPOSES)).describe('What it is asked for when others fail'),
  contextTokens: count.optional(),
  maxOutputTokens: count.optional(),
  tools: z.boolean(),
  reasoning: z.boolean(),
  images: z.boolean(),
  price: z.object({ inputUsd: usd, outputUsd: usd }).optional().describe('For a million tokens; absent: not known'),
  sizeBytes: count.optional().describe('Of a local model'),
  parameters: z.string().optional(),
  quantisation: z.string().optional(),
});
export type ModelView = z.infer<typeof modelView>;

export const tokenUsageView = z.object({
  inputTokens: count,
  cachedTokens: count.describe('Of inputTokens'),
  cacheWriteTokens: count.describe('Of inputTokens'),
  outputTokens: count,
  reasoningTokens: count.describe('Of outputTokens'),
});

export const modelTrialView = z.object({
  model: z.string(),
  ok: z.boolean(),
  firstPieceMs: z.number().optional().describe('From asking to the first piece of the answer'),
  tookMs: z.number().describe('Milliseconds'),
  replayed: z.literal(true).optional().describe('A transcript that can be played; no model was asked'),
  usage: tokenUsageView.optional(),
  costUsd: usd.optional(),
  failure: failureView.optional(),
});
export type ModelTrialView = z.infer<typeof modelTrialView>;

export const suiteTrialView = z.object({
  model: z.string(),
  name: z.string(),
  passed: z.boolean(),
  problem: z.string().optional().describe('Why it was not passed'),
  tookMs: z.number().describe('Milliseconds'),
  calls: count.describe('Of the model'),
});
export type SuiteTrialView = z.infer<typeof suiteTrialView>;

export const suiteModelView = z.object({
  model: z.string(),
  replayed: z.literal(true).optional().describe('Answers were played from a transcript'),
  trials: count,
  passed: count,
  passRate: z.number().describe('0 to 1'),
  toolCalls: z.object({ made: count, wellFormed: count }).optional(),
  calls: count.describe('Of the model'),
  latencyMs: z
    .object({ p50: z.number(), p95: z.number() })
    .optional()
    .describe('Of each call that was answered, without waits for rate limits'),
  usage: tokenUsageView,
  costUsd: usd.optional().describe('Absent: a price is not known'),
  missed: z.array(z.object({ gate: modelGates.keyof(), limit: z.number(), value: z.number().optional().describe('Absent: not known') })),
  failure: failureView.optional().describe('Why it could not be tried to the end'),
  items: z.array(suiteTrialView),
});
export type SuiteModelView = z.infer<typeof suiteModelView>;

export const suiteReportView = z.object({
  suite: z.enum(MODEL_SUITES),
  strategy: z.enum(SUITE_STRATEGIES).optional(),
  run: z.string().describe('What its calls are booked under: usage by run'),
  gates: modelGates,
  models: z.array(suiteModelView),
});
export type SuiteReportView = z.infer<typeof suiteReportView>;

/** What is told while a suite runs; the last is `report` or `error`. */
export const suiteEvent = z.union([
  z.object({ trial: suiteTrialView }),
  z.object({ report: suiteReportView }),
  z.object({ error: failureView }),
]);
export type SuiteEvent = z.infer<typeof suiteEvent>;

export const fitView = z.object({
  machine: z.string().describe('Name of a worker, or "server"'),
  fit: z.enum(['fits', 'fits_with_offload', 'does_not_fit']),
  runsOn: z.enum(['gpu', 'gpu+cpu', 'cpu']).optional(),
  gpuShare: z.number().describe('Share of the weights in graphics memory, 0 to 1'),
  largestContextTokens: count,
  freeMemoryBytes: count,
  gpuMemoryBytes: count.describe('Of all graphics cards'),
});
export type FitView = z.infer<typeof fitView>;

export const usageView = z.object({
  key: z.string().describe('Id of the run or the user, or provider/model'),
  name: z.string().optional().describe('Of a user'),
  calls: count,
  failed: count.describe('Refused before they cost anything'),
  unknown: count.describe('Whose outcome is not known, booked at the most they can cost'),
  open: count.describe('Under way'),
  unpriced: count.describe('Whose model has no known price: they are missing in the costs'),
  ...tokenUsageView.shape,
  costUsd: usd.describe('What was booked'),
  unknownUsd: usd.describe('Of costUsd, what was booked for calls of unknown outcome'),
  reservedUsd: usd.describe('Set aside for calls under way'),
  capUsd: usd.optional().describe('Of a run'),
  capTokens: count.optional().describe('Of a run'),
});
export type UsageView = z.infer<typeof usageView>;

export const budgetView = z.object({
  scope: z.enum(['fleet', 'user']),
  period: z.string().describe('2026-11 or 2026-11-21, in UTC'),
  spentUsd: usd,
  spentTokens: count,
  reservedUsd: usd,
  reservedTokens: count,
  capUsd: usd.optional(),
  capTokens: count.optional(),
});
export type BudgetView = z.infer<typeof budgetView>;
