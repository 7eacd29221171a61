import type { ModelPort, ModelUsage } from '@helixcode/llm/model-port';
import { CodedError } from '@helixcode/protocol/errors';
import type { UserId } from '@helixcode/protocol/ids';
import type { ModelGateway } from './model-gateway.ts';
import type { ModelProviders } from './model-providers.ts';

/** One call of a model on trial. */
export interface TrialCall {
  /** From asking to the end of the answer, in milliseconds, without waits for rate limits and before further tries. */
  tookMs: number;
  /** Absent: it failed. */
  usage?: ModelUsage;
  costUsd?: number;
  replayed?: true;
}

/**
 * One model behind the gateway as a port, for what is written over ports: routed, paid for and booked as any call, and measured.
 *
 * @param name its full name; where nobody provides it, each call fails with what is wrong
 */
export async function openTrialPort(
  { gateway, providers }: { gateway: Pick<ModelGateway, 'stream'>; providers: Pick<ModelProviders, 'target'> },
  name: string,
  context: { user: UserId; run: string; signal: AbortSignal },
): Promise<{ port: ModelPort; model: string; calls: TrialCall[] }> {
  const calls: TrialCall[] = [];
  const target = await providers.target(name).catch((error: unknown) => {
    if (error instanceof CodedError) return undefined;
    throw error;
  });
  const port: ModelPort = {
    provider: target?.port.provider ?? name,
    capabilities: (model) => target?.port.capabilities(model) ?? NOTHING_KNOWN,
    price: (model) => target?.port.price(model),
    validateConfig: (signal) => target?.port.validateConfig(signal) ?? Promise.resolve({ problems: [], isKeyChecked: false, models: [] }),
    async *stream(request, signal) {
      const beganMs = performance.now();
      let waitedMs = 0;
      const onNotice: Parameters<ModelGateway['stream']>[1]['onNotice'] = (notice) => {
        if (notice.type !== 'falls_back') waitedMs += notice.waitMs;
      };
      for await (const event of gateway.stream({ ...request, model: name }, { ...context, purpose: 'trial', signal, onNotice })) {
        if (event.type === 'done' || event.type === 'error') {
          const tookMs = Math.max(0, performance.now() - beganMs - waitedMs);
          if (event.type === 'error') calls.push({ tookMs });
          else {
            const { usage, costUsd, replayed } = event;
            calls.push({ tookMs, usage, ...(costUsd !== undefined && { costUsd }), ...(replayed && { replayed }) });
          }
        }
        yield event;
      }
    },
  };
  return { port, model: target?.model ?? name, calls };
}

const NOTHING_KNOWN: ReturnType<ModelPort['capabilities']> = {
  isKnown: false,
  contextTokens: undefined,
  maxOutputTokens: undefined,
  tools: true,
  reasoning: false,
  images: false,
  structuredOutput: 'prompt',
  promptCache: 'none',
};
