import { CodedError } from '@helixcode/protocol/errors';
import { vendorFetch } from '../providers/vendor-fetch.ts';
import { readNdjson } from './ndjson.ts';

export const OLLAMA_URL = 'http://127.0.0.1:11434';

/** What Ollama gives a model whose caller asks for nothing, on a machine with little graphics memory, whatever the model could hold. */
export const OLLAMA_SILENT_CONTEXT_TOKENS = 4096;

export interface InstalledModel {
  name: string;
  sizeBytes: number;
  /** As Ollama writes it: `8.2B`. */
  parameters: string;
  /** As Ollama writes it: `Q4_K_M`. */
  quantisation: string;
}

export interface OllamaModelFacts {
  /** What the model was trained for; `undefined` when Ollama does not say. */
  trainedContextTokens: number | undefined;
  /** `num_ctx` in the model's own file. */
  presetContextTokens: number | undefined;
  tools: boolean;
  images: boolean;
  thinking: boolean;
  /** For the memory its context needs; absent where Ollama does not say. */
  shape: { layers: number; kvHeads: number; headSize: number } | undefined;
}

export interface LoadedModel {
  name: string;
  /** The context it was loaded with; `undefined` before Ollama 0.11. */
  contextTokens: number | undefined;
  sizeBytes: number;
  /** Of `sizeBytes`, what lies in graphics memory. */
  graphicsBytes: number;
}

export interface PullProgress {
  /** Ollama's word for what it does: `pulling manifest`, `pulling 1a2b3c`, `verifying sha256 digest`, `success`. */
  step: string;
  /** Sum over all parts known so far. */
  doneBytes: number;
  totalBytes: number;
}

/** Questions and orders to one Ollama that are not chats. Every call throws CodedErrors. */
export class OllamaAdmin {
  readonly #baseUrl: string;

  constructor(baseUrl = OLLAMA_URL) {
    this.#baseUrl = baseUrl.replace(/\/+$/, '');
  }

  async version(signal: AbortSignal): Promise<string> {
    const { version } = (await this.#ask('/api/version', undefined, signal)) as { version?: string };
    return version ?? 'unknown';
  }

  async list(signal: AbortSignal): Promise<InstalledModel[]> {
    const { models } = (await this.#ask('/api/tags', undefined, signal)) as { models?: TagRow[] };
    return (models ?? []).map((row) => ({
      name: row.name,
      sizeBytes: row.size,
      parameters: row.details?.parameter_size ?? '',
      quantisation: row.details?.quantization_level ?? '',
    }));
  }

  /** Models in memory now. */
  async loaded(signal: AbortSignal): Promise<LoadedModel[]> {
    const { models } = (await this.#ask('/api/ps', undefined, signal)) as { models?: PsRow[] };
    return (models ?? []).map((row) => ({
      name: row.name,
      contextTokens: row.context_length,
      sizeBytes: row.size,
      graphicsBytes: row.size_vram ?? 0,
    }));
  }

  /** @throws CodedError `model.unknown` when it is not installed */
  async show(model: string, signal: AbortSignal): Promise<OllamaModelFacts> {
    const told = (await this.#ask('/api/show', { model }, signal)) as ShowAnswer;
    const info = told.model_info ?? {};
    const numberOf = (suffix: string): number | undefined => {
      const value = Object.entries(info).find(([key]) => key.endsWith(suffix))?.[1];
      return typeof value === 'number' ? value : undefined;
    };
    const layers = numberOf('.block_count');
    const heads = numberOf('.attention.head_count');
    const kvHeads = numberOf('.attention.head_count_kv') ?? heads;
    const width = numberOf('.embedding_length');
    const headSize = numberOf('.attention.key_length') ?? (width !== undefined && heads !== undefined ? width / heads : undefined);
    const preset = /^num_ctx\s+(\d+)$/m.exec(told.parameters ?? '')?.[1];
    return {
      trainedContextTokens: numberOf('.context_length'),
      presetContextTokens: preset === undefined ? undefined : Number(preset),
      tools: told.capabilities?.includes('tools') ?? false,
      images: told.capabilities?.includes('vision') ?? false,
      thinking: told.capabilities?.includes('thinking') ?? false,
      shape: layers !== undefined && kvHeads !== undefined && headSize !== undefined ? { layers, kvHeads, headSize } : undefined,
    };
  }

  /**
   * Downloads a model, telling how far it is; ends when it is complete and verified. Interrupted, it goes on where it was the next time.
   *
   * @throws CodedError `model.unknown` when no such model is published, `model.pull_failed` when the download breaks
   */
  async *pull(model: string, signal: AbortSignal): AsyncGenerator<PullProgress> {
    const response = await this.#send('/api/pull', { model, stream: true }, signal);
    const parts = new Map<string, { doneBytes: number; totalBytes: number }>();
    let step = '';
    try {
      for await (const value of readNdjson(response.body as ReadableStream<Uint8Array>)) {
        const line = value as { status?: string; digest?: string; total?: number; completed?: number; error?: string };
        if (line.error !== undefined) throw this.#pullError(model, line.error);
        step = line.status ?? step;
        if (line.digest !== undefined && line.total !== undefined)
          parts.set(line.digest, { doneBytes: line.completed ?? 0, totalBytes: line.total });
        const sum = (field: 'doneBytes' | 'totalBytes'): number => [...parts.values()].reduce((total, part) => total + part[field], 0);
        yield { step, doneBytes: sum('doneBytes'), totalBytes: sum('totalBytes') };
      }
    } catch (error) {
      if (signal.aborted)
        throw new CodedError('model.cancelled', `the download of ${model} was cancelled`, { next: `helix models pull ${model}` });
      if (error instanceof CodedError) throw error;
      throw new CodedError('model.pull_failed', `the download of ${model} broke: ${(error as Error).message}`, {
        next: `helix models pull ${model}`,
        cause: error,
      });
    }
    if (step !== 'success')
      throw new CodedError('model.pull_failed', `the download of ${model} ended at "${step}"`, { next: `helix models pull ${model}` });
  }

  #pullError(model: string, said: string): CodedError {
    if (/file does not exist|manifest unknown|not found/i.test(said)) {
      return new CodedError('model.unknown', `Ollama's library has no model ${model}`, {
        next: 'look for its name at https://ollama.com/library',
      });
    }
    const isDiskFull = /no space left/i.test(said);
    return new CodedError('model.pull_failed', `the download of ${model} failed: ${said}`, {
      next: isDiskFull ? 'free disk space, or remove a model: ollama rm <model>' : `helix models pull ${model}`,
    });
  }

  async #ask(path: string, body: Record<string, unknown> | undefined, signal: AbortSignal): Promise<unknown> {
    const response = await this.#send(path, body, signal);
    try {
      return await response.json();
    } catch (error) {
      throw new CodedError('model.bad_response', `what answers at ${this.#baseUrl} is not Ollama`, {
        next: 'correct its baseUrl in helix.json',
        cause: error,
      });
    }
  }

  async #send(path: string, body: Record<string, unknown> | undefined, signal: AbortSignal): Promise<Response> {
    let response: Response;
    try {
      response = await vendorFetch(this.#baseUrl)(`${this.#baseUrl}${path}`, {
        method: body ? 'POST' : 'GET',
        headers: { 'content-type': 'application/json' },
        signal,
        ...(body && { body: JSON.stringify(body) }),
      });
    } catch (error) {
      if (signal.aborted) throw new CodedError('model.cancelled', 'the question to Ollama was cancelled');
      throw new CodedError(
        'model.unreachable',
        `no Ollama answers at ${this.#baseUrl}: ${(error as NodeJS.ErrnoException).code ?? (error as Error).message}`,
        {
          next: 'ollama serve',
        },
      );
    }
    if (response.ok) return response;
    const said = await response.text();
    const model = typeof body?.['model'] === 'string' ? body['model'] : undefined;
    if (response.status === 404 && model !== undefined) {
      throw new CodedError('model.unknown', `Ollama has no model ${model}`, { next: `helix models pull ${model}` });
    }
    throw new CodedError('model.vendor_failed', `Ollama answered ${path} with HTTP ${response.status}: ${said.slice(0, 200)}`, {
      next: 'look at the log of ollama serve',
    });
  }
}

export interface ContextVerdict {
  /** What a call gets that does not ask: the silent default, the preset of the model's file, or what it is loaded with. */
  givenTokens: number;
  /** What calls should ask for (`num_ctx`). */
  wantedTokens: number;
  /** Whether conversations would be cut without a word. */
  isCut: boolean;
}

/** The smallest context in which an agent's instructions, tools and a few files still fit. */
export const LEAST_AGENT_CONTEXT_TOKENS = 32_768;

/** Compares what Ollama would give with what is needed. */
export function judgeContext(
  facts: OllamaModelFacts,
  loaded: LoadedModel | undefined,
  neededTokens = LEAST_AGENT_CONTEXT_TOKENS,
): ContextVerdict {
  const givenTokens =
    loaded?.contextTokens ??
    facts.presetContextTokens ??
    Math.min(OLLAMA_SILENT_CONTEXT_TOKENS, facts.trainedContextTokens ?? OLLAMA_SILENT_CONTEXT_TOKENS);
  const wantedTokens = Math.min(Math.max(neededTokens, facts.presetContextTokens ?? 0), facts.trainedContextTokens ?? neededTokens);
  return { givenTokens, wantedTokens, isCut: givenTokens < wantedTokens };
}

interface TagRow {
  name: string;
  size: number;
  details?: { parameter_size?: string; quantization_level?: string };
}

interface PsRow {
  name: string;
  size: number;
  size_vram?: number;
  context_length?: number;
}

interface ShowAnswer {
  parameters?: string;
  capabilities?: string[];
  model_info?: Record<string, unknown>;
}
