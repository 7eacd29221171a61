import { CodedError } from '@helixcode/protocol/errors';
import type { ConfigReport } from '../model-port.ts';
import type { ProviderConfig } from './provider-config.ts';
import { type VendorCall, vendorError } from './vendor-error.ts';
import { vendorFetch } from './vendor-fetch.ts';

/** How a vendor lists its models: a call that costs nothing. */
export interface ModelList {
  /** Below the base address. */
  path: string;
  /** How the key goes with it. */
  auth(apiKey: string): Record<string, string>;
  /** Whether a wrong key is refused there. */
  checksKey: boolean;
}

export const BEARER = (apiKey: string): Record<string, string> => (apiKey === '' ? {} : { authorization: `Bearer ${apiKey}` });

/** The list as the OpenAI family gives it. */
export const OPENAI_MODEL_LIST: ModelList = { path: '/models', auth: BEARER, checksKey: true };

/** Generous for a list; a server that needs longer is not usable. */
const LIST_MS = 20_000;

/** Asks for the list and tells what is wrong; never throws. */
export async function askModelList(ask: {
  baseUrl: string;
  list: ModelList;
  config: ProviderConfig;
  vendor: VendorCall;
  signal: AbortSignal;
}): Promise<ConfigReport> {
  const { baseUrl, list, config, vendor } = ask;
  const limit = AbortSignal.timeout(LIST_MS);
  try {
    const response = await vendorFetch(baseUrl)(`${baseUrl}${list.path}`, {
      headers: { ...list.auth(config.apiKey ?? ''), ...config.headers },
      signal: AbortSignal.any([ask.signal, limit]),
    });
    const body = await response.text();
    if (!response.ok) return failed(listError(response, body, vendor));
    return { problems: [], isKeyChecked: list.checksKey && config.apiKey !== undefined, models: namesIn(body) };
  } catch (error) {
    if (ask.signal.aborted) return failed(new CodedError('model.cancelled', `the check of ${vendor.provider} was cancelled`));
    const { code, name, message } = error as NodeJS.ErrnoException;
    const why =
      name === 'TimeoutError'
        ? `no answer within ${LIST_MS / 1000} s`
        : name === 'SyntaxError'
          ? 'the answer is not a list of models'
          : (code ?? message);
    return failed(
      new CodedError('model.unreachable', `${vendor.provider} could not be reached at ${new URL(baseUrl).host}: ${why}`, {
        next: `check the address of ${vendor.provider} in helix.json, then: helix models test --models ${vendor.provider}`,
      }),
    );
  }
}

function failed(problem: CodedError): ConfigReport {
  return { problems: [problem], isKeyChecked: false, models: [] };
}

function listError(response: Response, body: string, vendor: VendorCall): CodedError {
  if (response.status !== 404) return vendorError({ status: response.status, headers: response.headers, body }, vendor);
  return new CodedError(
    'model.config_invalid',
    `what answers at the address of ${vendor.provider} is not a server of models (HTTP 404 for its list)`,
    {
      next: `correct baseUrl of ${vendor.provider} in helix.json (it usually ends in /v1)`,
    },
  );
}

/** Names in `{data: [{id}]}` (the OpenAI family, Anthropic), `{models: [{name}]}` (Gemini, Ollama) or a bare array. @throws SyntaxError on anything else */
function namesIn(body: string): string[] {
  const json = JSON.parse(body) as { data?: unknown; models?: unknown } | unknown[];
  const rows = Array.isArray(json) ? json : (json.data ?? json.models);
  // A service that lists something else (an account, a key) has proved what was asked.
  if (!Array.isArray(rows)) return [];
  return (rows as { id?: string; name?: string }[]).flatMap((row) => {
    const name = row.id ?? row.name;
    return name === undefined ? [] : [name.replace(/^models\//, '')];
  });
}
