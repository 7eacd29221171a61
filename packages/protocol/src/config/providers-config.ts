import { z } from 'zod';
import { MODEL_PURPOSES, type ModelPurpose } from '../model/model-purpose.ts';
import { isProviderKind, needsNoEntry, PROVIDER_KINDS } from '../model/provider-kind.ts';
import { nearestName } from '../nearest-name.ts';
import { modelGates } from './model-gates.ts';

const usd = z.number().nonnegative();
const tokens = z.number().int().positive();

/** What is spent at most. */
export const budgetCap = z.strictObject({
  usd: z.number().positive().optional().describe('US dollars'),
  tokens: tokens.optional().describe('Tokens of prompts and answers together'),
});
export type BudgetCap = z.infer<typeof budgetCap>;

const periodCap = budgetCap.extend({ per: z.enum(['day', 'month']).default('month').describe('Of the calendar, in UTC') });

const modelFacts = z.strictObject({
  contextTokens: tokens.optional(),
  maxOutputTokens: tokens.optional(),
  tools: z.boolean().optional(),
  reasoning: z.boolean().optional(),
  images: z.boolean().optional(),
  price: z
    .strictObject({ inputUsd: usd, outputUsd: usd, cacheReadUsd: usd.optional(), cacheWriteUsd: usd.optional() })
    .optional()
    .describe('US dollars for a million tokens'),
});

/** One provider of models. Its key stands in an environment variable of the server, never here. */
export const providerConfig = z.strictObject({
  kind: z.enum(PROVIDER_KINDS),
  name: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/)
    .optional()
    .describe('The part before the slash in names of its models; its kind when absent'),
  // A user, a password or a query could be a key.
  baseUrl: z
    .string()
    .regex(/^https?:\/\/[^/@?#\s]+(?:\/[^?#\s]*)?$/)
    .optional()
    .describe("http(s) address without user, password or query; the vendor's own when absent"),
  apiKeyEnv: z
    .string()
    .regex(/^[A-Z_][A-Z0-9_]*$/)
    .optional()
    .describe("Name of the environment variable of the server that holds the key; the vendor's usual one when absent"),
  silenceMs: z.number().int().min(1_000).optional().describe('Silence after which an answer counts as cut; 5 minutes when absent'),
  requestsPerMinute: z.number().int().positive().optional().describe('What your account allows for each model'),
  tokensPerMinute: tokens.optional().describe('What your account allows for each model'),
  models: z.record(z.string(), modelFacts).default({}).describe('What you know better than the catalog, by model'),
  transcripts: z
    .record(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/), z.string().min(1))
    .optional()
    .describe('Of kind replay: files by the name that follows `replay/`; a relative path starts at the folder of helix.json'),
});
export type ProviderEntry = z.infer<typeof providerConfig>;

const modelNames = z.array(
  z
    .string()
    .regex(/^[^/\s]+\/\S+$/)
    .describe('provider/model, as `helix models list` names them'),
);

export const providersConfig = z.strictObject({
  pool: z.array(providerConfig).default([]).describe('Providers that need more than the key in its usual variable'),
  default: modelNames.default([]).describe('Models of every purpose without a route: the first, and what stands in when it fails'),
  routes: z
    .strictObject(Object.fromEntries(MODEL_PURPOSES.map((purpose) => [purpose, modelNames.optional()])) as RouteSchemas)
    .prefault({})
    .describe('Models by what they are asked for, the best first'),
  discoverLocal: z.boolean().default(true).describe('Look for models of Ollama and llama.cpp on the server machine when they are listed'),
  budgets: z
    .strictObject({
      run: budgetCap.prefault({}).describe('Of each run that brings no budget of its own'),
      user: periodCap.prefault({}).describe('Of each user'),
      fleet: periodCap.prefault({}).describe('Of all users together'),
    })
    .prefault({}),
  gates: modelGates.prefault({}).describe('What every model must reach in `helix models test --suite`'),
});
export type ProvidersConfig = z.infer<typeof providersConfig>;

type RouteSchemas = Record<ModelPurpose, z.ZodOptional<typeof modelNames>>;

export function providerName({ name, kind }: ProviderEntry): string {
  return name ?? kind;
}

/**
 * What is wrong between keys that are each right. A provider needs no entry where its kind is its name and says all.
 */
export function faultsOfProviders({ pool, default: usual, routes }: ProvidersConfig): { key: string; message: string }[] {
  const faults: { key: string; message: string }[] = [];
  const names = new Set<string>();
  for (const [index, entry] of pool.entries()) {
    const key = `providers.pool[${index}]`;
    const name = providerName(entry);
    if (names.has(name)) faults.push({ key, message: `${key} is a second provider ${name}, expected another name` });
    names.add(name);
    if (entry.kind === 'openai-compatible' && entry.baseUrl === undefined)
      faults.push({ key: `${key}.baseUrl`, message: `${key}.baseUrl is missing, expected the address of the server` });
    if ((entry.kind === 'replay') !== (entry.transcripts !== undefined))
      faults.push({
        key: `${key}.transcripts`,
        message:
          entry.kind === 'replay'
            ? `${key}.transcripts is missing, expected files by name`
            : `${key}.transcripts is for the kind replay, expected none`,
      });
    // What is played must be known as that wherever its name stands; no other provider may pass for it.
    if ((entry.kind === 'replay') !== (name === 'replay'))
      faults.push({ key: `${key}.name`, message: `${key}.name is "${name}", expected "replay" for the kind replay and for no other` });
  }
  const lists = [['providers.default', usual], ...Object.entries(routes).map(([purpose, list]) => [`providers.routes.${purpose}`, list])];
  for (const [list, models] of lists as [string, string[] | undefined][]) {
    for (const [index, model] of (models ?? []).entries()) {
      const name = model.slice(0, model.indexOf('/'));
      if (names.has(name) || (isProviderKind(name) && needsNoEntry(name))) continue;
      const meant = nearestName(name, [...names, ...PROVIDER_KINDS]);
      const key = `${list}[${index}]`;
      faults.push({
        key,
        message: `${key} is "${model}", but there is no provider ${name}${meant === undefined ? '' : `; did you mean ${meant}?`}`,
      });
    }
  }
  return faults;
}
