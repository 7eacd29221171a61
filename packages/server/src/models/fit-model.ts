import { judgeFit, type Machine, type ModelShape, parseParameters } from '@helixcode/llm/local/hardware-fit';
import { OllamaAdmin } from '@helixcode/llm/local/ollama-admin';
import type { FitView } from '@helixcode/protocol/api/model-views';
import { CodedError } from '@helixcode/protocol/errors';

/** A machine a local model could run on. */
export interface NamedMachine extends Machine {
  name: string;
}

export interface FitAnswer {
  model: string;
  basis: 'size of its files' | 'number of parameters';
  contextTokens: number;
  weightsBytes: number;
  contextBytes: number;
  needBytes: number;
  items: FitView[];
}

/**
 * Judges on which machines a local model would run. An installed model is measured by its files, any other by the number of parameters
 * that its name tells.
 *
 * @param ollamaUrls addresses of the Ollamas that may have it
 * @throws CodedError `model.unknown` when neither is known
 */
export async function fitModel(
  asked: { model: string; contextTokens: number; quantisation?: string | undefined },
  machines: readonly NamedMachine[],
  ollamaUrls: readonly (string | undefined)[],
  signal: AbortSignal,
): Promise<FitAnswer> {
  const name = asked.model.replace(/^ollama\//, '');
  const shape = (await installedShape(name, asked, ollamaUrls, signal)) ?? shapeByName(name, asked);
  if (!shape)
    throw new CodedError(
      'model.unknown',
      `how large ${name} is cannot be told: it is not installed, and its name has no number of parameters`,
      {
        next: 'helix models fit 8b, with the number of its parameters',
      },
    );
  const verdicts = machines.map((machine) => ({ machine, verdict: judgeFit(shape, machine) }));
  const { weightsBytes, contextBytes, needBytes } = judgeFit(shape, { freeMemoryBytes: 0, gpus: [] });
  return {
    model: name,
    basis: shape.weightsBytes === undefined ? 'number of parameters' : 'size of its files',
    contextTokens: asked.contextTokens,
    weightsBytes,
    contextBytes,
    needBytes,
    items: verdicts.map(({ machine, verdict }) => ({
      machine: machine.name,
      fit: verdict.fit,
      ...(verdict.runsOn !== undefined && { runsOn: verdict.runsOn }),
      gpuShare: verdict.gpuShare,
      largestContextTokens: verdict.largestContextTokens,
      freeMemoryBytes: machine.freeMemoryBytes,
      gpuMemoryBytes: machine.gpus.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0),
    })),
  };
}

/** `undefined` when no Ollama that answers has it, or another quantisation is asked for. */
async function installedShape(
  name: string,
  { contextTokens, quantisation }: { contextTokens: number; quantisation?: string | undefined },
  ollamaUrls: readonly (string | undefined)[],
  signal: AbortSignal,
): Promise<ModelShape | undefined> {
  for (const url of ollamaUrls) {
    const ollama = new OllamaAdmin(url);
    try {
      const found = (await ollama.list(signal)).find((model) => model.name === name || model.name === `${name}:latest`);
      if (!found || (quantisation !== undefined && quantisation.toUpperCase() !== found.quantisation.toUpperCase())) continue;
      const { shape } = await ollama.show(found.name, signal);
      const parameters = parseParameters(found.parameters);
      return {
        contextTokens,
        weightsBytes: found.sizeBytes,
        quantisation: found.quantisation,
        ...(parameters !== undefined && { parameters }),
        ...(shape && { attention: shape }),
      };
    } catch (error) {
      // One that does not answer has no models to tell of.
      if (!(error instanceof CodedError)) throw error;
    }
  }
  return undefined;
}

function shapeByName(
  name: string,
  { contextTokens, quantisation }: { contextTokens: number; quantisation?: string | undefined },
): ModelShape | undefined {
  const parameters = parseParameters(name);
  return parameters === undefined ? undefined : { contextTokens, parameters, ...(quantisation !== undefined && { quantisation }) };
}
