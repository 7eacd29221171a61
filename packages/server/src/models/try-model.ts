import { splitModelName } from '@helixcode/llm/providers/open-provider';
import { REPLAY_PROVIDER } from '@helixcode/llm/replay/replay';
import type { ModelTrialView } from '@helixcode/protocol/api/model-views';
import { CodedError } from '@helixcode/protocol/errors';
import type { UserId } from '@helixcode/protocol/ids';
import { nearestName } from '@helixcode/protocol/nearest-name';
import type { ModelGateway } from './model-gateway.ts';
import type { ModelProviders } from './model-providers.ts';

/** Room for a model that thinks first; what it does not write is not billed. */
const ANSWER_TOKENS = 1_024;

/**
 * Asks one model a small question, after its address and key were checked with a call that costs nothing. Of a provider without a
 * model behind it only the latter. Never throws: what is wrong is in the answer.
 */
export async function tryModel(
  { gateway, providers }: { gateway: Pick<ModelGateway, 'stream'>; providers: ModelProviders },
  name: string,
  user: UserId,
  signal: AbortSignal,
): Promise<ModelTrialView> {
  const beganMs = performance.now();
  const ended = (rest: Omit<ModelTrialView, 'model' | 'ok' | 'tookMs'>): ModelTrialView => ({
    model: name,
    ok: rest.failure === undefined,
    tookMs: performance.now() - beganMs,
    ...rest,
  });
  try {
    const { provider, model } = splitModelName(name) ?? { provider: name, model: undefined };
    const port = await providers.open(provider);
    const report = await port.validateConfig(signal);
    const [problem] = report.problems;
    const isTranscript = port.provider === REPLAY_PROVIDER && model !== undefined;
    // It answers nothing but what was recorded: that it can be read is all there is to learn. If it cannot, it says so when asked.
    if (isTranscript && report.models.includes(model)) return ended({ replayed: true });
    if (problem && !isTranscript) return ended({ failure: problem.toFact() });
    if (model === undefined) return ended({});
    // Where money is limited a model without a price is not asked, and could not say that it does not exist.
    if (port.price(model) === undefined && report.models.length > 0 && !report.models.includes(model))
      return ended({ failure: unknownModel(provider, model, report.models).toFact() });
  } catch (error) {
    if (error instanceof CodedError) return ended({ failure: error.toFact() });
    throw error;
  }

  let firstPieceMs: number | undefined;
  const call = {
    model: name,
    messages: [{ role: 'user' as const, parts: [{ type: 'text' as const, text: 'Answer with the single word: ready' }] }],
    maxOutputTokens: ANSWER_TOKENS,
  };
  for await (const event of gateway.stream(call, { purpose: 'check', user, signal })) {
    firstPieceMs ??= performance.now() - beganMs;
    if (event.type === 'error') return ended({ failure: event.error.toFact() });
    if (event.type === 'done')
      return ended({ firstPieceMs, usage: event.usage, ...(event.costUsd !== undefined && { costUsd: event.costUsd }) });
  }
  throw new Error('a model stream ended with neither done nor error');
}

function unknownModel(provider: string, model: string, known: string[]): CodedError {
  const meant = nearestName(model, known);
  return new CodedError('model.unknown', `${provider} has no model ${model}${meant === undefined ? '' : `; did you mean ${meant}?`}`, {
    next: 'helix models list --catalog',
  });
}
