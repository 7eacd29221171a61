import { vendorFetch } from '../providers/vendor-fetch.ts';
import { OLLAMA_URL, OllamaAdmin } from './ollama-admin.ts';

export interface LocalServer {
  /** The kind of provider that speaks with it. */
  kind: 'ollama' | 'llama-server' | 'openai-compatible';
  /** What to configure as its `baseUrl`. */
  baseUrl: string;
  models: LocalModel[];
}

export interface LocalModel {
  name: string;
  /** The context it runs with; `undefined` where the server does not say. */
  contextTokens?: number;
  sizeBytes?: number;
  /** As Ollama writes it: `8.2B`. */
  parameters?: string;
  /** As Ollama writes it: `Q4_K_M`. */
  quantisation?: string;
}

/** Where local servers usually answer: Ollama, llama.cpp's server, LM Studio, vLLM. */
export const USUAL_LOCAL_URLS = [OLLAMA_URL, 'http://127.0.0.1:8080', 'http://127.0.0.1:1234', 'http://127.0.0.1:8000'];

/** Long enough for a machine that is busy, short enough for people who wait. */
const PROBE_MS = 1_500;

/**
 * Looks for servers of models at these addresses, all at once. What does not answer, or answers as something else (a web page has the same port), is
 * left out: nothing here is an error.
 *
 * @param urls origins, without a path; those of workers lead through their links
 */
export async function discoverLocal(signal: AbortSignal, urls = USUAL_LOCAL_URLS): Promise<LocalServer[]> {
  const found = await Promise.all(
    urls.map(async (url) => {
      const limited = AbortSignal.any([signal, AbortSignal.timeout(PROBE_MS)]);
      return (await asOllama(url, limited)) ?? (await asOpenai(url, limited));
    }),
  );
  return found.filter((server) => server !== undefined);
}

async function asOllama(url: string, signal: AbortSignal): Promise<LocalServer | undefined> {
  const admin = new OllamaAdmin(url);
  try {
    if ((await admin.version(signal)) === 'unknown') return undefined;
    return { kind: 'ollama', baseUrl: url, models: await admin.list(signal) };
  } catch {
    return undefined;
  }
}

async function asOpenai(url: string, signal: AbortSignal): Promise<LocalServer | undefined> {
  const list = (await askJson(`${url}/v1/models`, signal)) as
    | { data?: { id?: unknown; owned_by?: unknown; max_model_len?: unknown; meta?: { size?: unknown } }[] }
    | undefined;
  if (!Array.isArray(list?.data)) return undefined;
  const rows = list.data.filter((row): row is typeof row & { id: string } => typeof row.id === 'string');
  // llama.cpp's server says so itself; its properties tell the context it was started with.
  const isLlama = rows.some((row) => row.owned_by === 'llamacpp');
  const props = isLlama
    ? ((await askJson(`${url}/props`, signal)) as { default_generation_settings?: { n_ctx?: unknown } } | undefined)
    : undefined;
  const startedWith = props?.default_generation_settings?.n_ctx;
  return {
    kind: isLlama ? 'llama-server' : 'openai-compatible',
    baseUrl: `${url}/v1`,
    models: rows.map((row) => {
      const contextTokens = typeof startedWith === 'number' ? startedWith : row.max_model_len;
      return {
        name: row.id,
        ...(typeof contextTokens === 'number' && { contextTokens }),
        ...(typeof row.meta?.size === 'number' && { sizeBytes: row.meta.size }),
      };
    }),
  };
}

async function askJson(url: string, signal: AbortSignal): Promise<unknown> {
  try {
    const response = await vendorFetch(url)(url, { signal });
    return response.ok ? await response.json() : undefined;
  } catch {
    return undefined;
  }
}
