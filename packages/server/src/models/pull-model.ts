import { Readable } from 'node:stream';
import { OllamaAdmin, type PullProgress } from '@helixcode/llm/local/ollama-admin';
import { CodedError } from '@helixcode/protocol/errors';
import type { ModelProviders } from './model-providers.ts';

/**
 * Downloads a model to an Ollama.
 *
 * @returns server-sent events: the progress as it goes, in the end `{"done": true}` or `{"error": …}`
 * @throws CodedError what is wrong before the first byte comes
 */
export async function pullModel(
  providers: Pick<ModelProviders, 'list'>,
  { model, provider }: { model: string; provider: string },
  signal: AbortSignal,
): Promise<Readable> {
  const known = providers.list().find(({ name }) => name === provider);
  if (known?.kind !== 'ollama')
    throw new CodedError('model.config_invalid', `${provider} is not an Ollama: only that can be told to download models`, {
      next: 'name a provider of kind ollama: helix models list',
    });
  const steps = new OllamaAdmin(known.entry?.baseUrl).pull(model, signal);
  // What fails at once is a refusal of the whole, not an event.
  const first = await steps.next();
  return Readable.from(events(first, steps));
}

async function* events(first: IteratorResult<PullProgress>, rest: AsyncGenerator<PullProgress>): AsyncGenerator<string> {
  const line = (value: unknown): string => `data: ${JSON.stringify(value)}\n\n`;
  try {
    if (!first.done) yield line(first.value);
    for await (const progress of rest) yield line(progress);
    yield line({ done: true });
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    yield line({ error: error.toFact() });
  }
}
