import { CodedError } from '@helixcode/protocol/errors';
import type { ModelCapabilities, ModelPrice } from '../model-port.ts';

/** One provider as a person configured it. */
export interface ProviderConfig {
  /** How people name it; the vendor's own name when absent. Two servers of one kind need two names. */
  name?: string;
  /** Where it answers; the vendor's public address when absent. */
  baseUrl?: string;
  apiKey?: string;
  /** Environment variable the key was taken from, as people are to be told; the vendor's usual one when absent. */
  keyVariable?: string;
  /** Sent with every request, beside what the vendor needs. */
  headers?: Record<string, string>;
  /** Silence after which an answer counts as cut: 5 minutes when absent. */
  silenceMs?: number;
  /** What is known better here than in the catalog, by model. */
  models?: Record<string, Partial<Omit<ModelCapabilities, 'isKnown'>> & { price?: ModelPrice }>;
  /** Of transcripts that are played: absolute path by name. */
  transcripts?: Record<string, string>;
}

export const DEFAULT_SILENCE_MS = 300_000;

/** What is wrong with a configuration on its face, before anybody is asked. */
export function problemsOfConfig(
  config: ProviderConfig,
  provider: string,
  needs: { keyVariable?: string | undefined; baseUrl: string | undefined },
): CodedError[] {
  const problems: CodedError[] = [];
  const refuse = (message: string, next: string): void => void problems.push(new CodedError('model.config_invalid', message, { next }));
  if (needs.baseUrl === undefined) refuse(`${provider} has no address`, `set baseUrl of ${provider} in helix.json`);
  else if (!/^https?:\/\/[^/]/.test(needs.baseUrl) || !URL.canParse(needs.baseUrl))
    refuse(`the address of ${provider} is not an http(s) URL: ${needs.baseUrl}`, `correct baseUrl of ${provider} in helix.json`);
  if (needs.keyVariable !== undefined && !config.apiKey)
    refuse(`${provider} has no API key`, `set ${needs.keyVariable} for the server, then: helix models test --models ${provider}`);
  if (config.apiKey !== undefined && !/^[\x21-\x7e]*$/.test(config.apiKey)) {
    refuse(
      `the API key of ${provider} contains spaces or characters that no key has`,
      `set ${needs.keyVariable ?? 'the key'} again, without quotes or line ends`,
    );
  }
  return problems;
}
