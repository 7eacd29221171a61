/** What decides how much memory a local model takes. */
export interface ModelShape {
  /** Size of its file, the surest measure; otherwise `parameters` and `quantisation` say it. */
  weightsBytes?: number;
  /** All of them, also those of experts that rest. */
  parameters?: number;
  /** As GGUF names it: `Q4_K_M`; case does not matter. */
  quantisation?: string;
  contextTokens: number;
  /** For the memory of the context; guessed from the number of parameters when absent. */
  attention?: { layers: number; kvHeads: number; headSize: number };
}

export interface Machine {
  /** Free, not installed: what else runs there stays. */
  freeMemoryBytes: number;
  gpus: { memoryBytes: number }[];
  /** Graphics and programs share one memory (Apple's chips). */
  isMemoryShared?: boolean;
}

export type Fit = 'fits' | 'fits_with_offload' | 'does_not_fit';

export interface FitVerdict {
  fit: Fit;
  /** Where it would run: `gpu`, `gpu+cpu` (slower, some layers wait for the processor), `cpu` (slow from a few billion parameters on). */
  runsOn: 'gpu' | 'gpu+cpu' | 'cpu' | undefined;
  needBytes: number;
  weightsBytes: number;
  contextBytes: number;
  /** Share of the weights that lie in graphics memory, 0 to 1. */
  gpuShare: number;
  /** The largest context that would fit; 0 when the weights alone do not. */
  largestContextTokens: number;
}

/**
 * Bits per weight of a whole file. Of the k- and i-quants as measured on Llama 3.1 8B by llama.cpp (tools/quantize/README.md); the simple formats follow from
 * their block: 32 weights share a 16-bit scale (and in `_1` an offset).
 */
export const BITS_PER_WEIGHT: Record<string, number> = {
  F32: 32,
  F16: 16,
  BF16: 16,
  Q8_0: 8.5,
  Q6_K: 6.56,
  Q5_K_M: 5.7,
  Q5_K_S: 5.57,
  Q5_1: 6,
  Q5_0: 5.5,
  Q4_K_M: 4.89,
  Q4_K_S: 4.67,
  Q4_1: 5,
  Q4_0: 4.5,
  IQ4_NL: 4.68,
  IQ4_XS: 4.46,
  MXFP4: 4.25,
  Q3_K_L: 4.3,
  Q3_K_M: 4,
  Q3_K_S: 3.64,
  IQ3_M: 3.76,
  IQ3_S: 3.66,
  IQ3_XS: 3.5,
  IQ3_XXS: 3.25,
  Q2_K: 3.16,
  Q2_K_S: 2.97,
  IQ2_M: 2.93,
  IQ2_S: 2.74,
  IQ2_XS: 2.59,
  IQ2_XXS: 2.38,
  IQ1_M: 2.15,
  IQ1_S: 2,
};

/** What most local models are published in. */
const USUAL_QUANTISATION = 'Q4_K_M';
/** Working memory beside weights and context: buffers of the computation, and the program. */
const OVERHEAD_BYTES = 700 * 2 ** 20;
/** Left to the display and the driver on every graphics card. */
const GPU_RESERVE_BYTES = 400 * 2 ** 20;
/** What of a shared memory graphics may take. */
const SHARED_MEMORY_SHARE = 0.7;
/** What of the free memory is taken at most: a machine without any left stops. */
const FREE_MEMORY_SHARE = 0.9;

/** Judges whether a model runs on a machine. @throws RangeError when neither size nor parameters are known */
export function judgeFit(model: ModelShape, machine: Machine): FitVerdict {
  const weightsBytes = weightsOf(model);
  const bytesPerToken = contextBytesPerToken(model);
  const contextBytes = Math.round(bytesPerToken * model.contextTokens);
  const needBytes = weightsBytes + contextBytes + OVERHEAD_BYTES;

  const memoryBytes = machine.freeMemoryBytes * (machine.isMemoryShared ? SHARED_MEMORY_SHARE : FREE_MEMORY_SHARE);
  const gpuBytes = machine.isMemoryShared
    ? memoryBytes
    : machine.gpus.reduce((sum, { memoryBytes: bytes }) => sum + Math.max(0, bytes - GPU_RESERVE_BYTES), 0);
  const allBytes = machine.isMemoryShared ? memoryBytes : gpuBytes + memoryBytes;
  const measures = {
    needBytes,
    weightsBytes,
    contextBytes,
    largestContextTokens: Math.max(0, Math.floor((allBytes - weightsBytes - OVERHEAD_BYTES) / bytesPerToken)),
  };

  if (gpuBytes > 0 && needBytes <= gpuBytes) return { fit: 'fits', runsOn: 'gpu', gpuShare: 1, ...measures };
  if (needBytes > allBytes) return { fit: 'does_not_fit', runsOn: undefined, gpuShare: 0, ...measures };
  if (gpuBytes === 0) return { fit: 'fits', runsOn: 'cpu', gpuShare: 0, ...measures };
  // The context of the layers on the card lies there too.
  const gpuShare = Math.max(0, (gpuBytes - OVERHEAD_BYTES) / (weightsBytes + contextBytes));
  return { fit: 'fits_with_offload', runsOn: gpuShare > 0 ? 'gpu+cpu' : 'cpu', gpuShare, ...measures };
}

/**
 * The best quantisation of a model that runs wholly where it runs fast (graphics memory if there is any).
 *
 * @returns `undefined` when not even the smallest offered does
 */
export function bestQuantisation(
  model: Omit<ModelShape, 'quantisation' | 'weightsBytes'>,
  machine: Machine,
  offered: string[],
): string | undefined {
  return [...offered]
    .sort((a, b) => bitsOf(b) - bitsOf(a))
    .find((quantisation) => judgeFit({ ...model, quantisation }, machine).fit === 'fits');
}

/** `8.2B`, `30b-a3b`, `270M` → a number; the first size in a text, `undefined` when there is none. */
export function parseParameters(text: string): number | undefined {
  const match = /(?<![\w.])(\d+(?:\.\d+)?)(?:x(\d+(?:\.\d+)?))?([bmk])(?![a-z])/i.exec(text);
  if (!match) return undefined;
  const unit = { b: 1e9, m: 1e6, k: 1e3 }[(match[3] ?? '').toLowerCase()] ?? 1;
  return Math.round(Number(match[1]) * Number(match[2] ?? 1) * unit);
}

function weightsOf({ weightsBytes, parameters, quantisation }: ModelShape): number {
  if (weightsBytes !== undefined) return weightsBytes;
  if (parameters === undefined) throw new RangeError('the fit of a model needs the size of its file or its number of parameters');
  return Math.round((parameters * bitsOf(quantisation ?? USUAL_QUANTISATION)) / 8);
}

/** A name that is not in the table counts as 16 bits: better told that it does not fit than found out. */
function bitsOf(quantisation: string): number {
  return BITS_PER_WEIGHT[quantisation.toUpperCase()] ?? 16;
}

/** Keys and values of 16 bits for every layer. */
function contextBytesPerToken({ attention, parameters, weightsBytes, quantisation }: ModelShape): number {
  if (attention) return 2 * 2 * attention.layers * attention.kvHeads * attention.headSize;
  const billions = (parameters ?? ((weightsBytes ?? 0) * 8) / bitsOf(quantisation ?? USUAL_QUANTISATION)) / 1e9;
  // Llama 3.1: 8B has 128 KiB a token, 70B 320 KiB. The power between them also suits the smaller ones.
  return 2 ** 17 * Math.max(0.1, billions / 8) ** 0.43;
}
