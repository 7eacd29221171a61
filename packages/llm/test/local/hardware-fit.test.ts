import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BITS_PER_WEIGHT, bestQuantisation, judgeFit, type Machine, parseParameters } from '../../src/local/hardware-fit.ts';

const GIB = 2 ** 30;
const laptop: Machine = { freeMemoryBytes: 12 * GIB, gpus: [] };
const gamer: Machine = { freeMemoryBytes: 24 * GIB, gpus: [{ memoryBytes: 12 * GIB }] };
const mac: Machine = { freeMemoryBytes: 48 * GIB, gpus: [], isMemoryShared: true };
const server: Machine = { freeMemoryBytes: 200 * GIB, gpus: [{ memoryBytes: 80 * GIB }, { memoryBytes: 80 * GIB }] };

test.each([
  { name: '8B on a laptop', parameters: 8e9, machine: laptop, fit: 'fits', runsOn: 'cpu' },
  { name: '8B on a card of 12 GiB', parameters: 8e9, machine: gamer, fit: 'fits', runsOn: 'gpu' },
  { name: '32B on a card of 12 GiB', parameters: 32e9, machine: gamer, fit: 'fits_with_offload', runsOn: 'gpu+cpu' },
  { name: '32B on a laptop', parameters: 32e9, machine: laptop, fit: 'does_not_fit', runsOn: undefined },
  { name: '32B on a Mac of 48 GiB', parameters: 32e9, machine: mac, fit: 'fits', runsOn: 'gpu' },
  { name: '70B on a Mac of 48 GiB', parameters: 70e9, machine: mac, fit: 'does_not_fit', runsOn: undefined },
  { name: '70B on two cards of 80 GiB', parameters: 70e9, machine: server, fit: 'fits', runsOn: 'gpu' },
])('$name: $fit', ({ parameters, machine, fit, runsOn }) => {
  expect(judgeFit({ parameters, quantisation: 'Q4_K_M', contextTokens: 32_768 }, machine)).toMatchObject({ fit, runsOn });
});

test('the file of Llama 3.1 8B is as large as it really is, and so is its context', () => {
  const { weightsBytes, contextBytes } = judgeFit(
    { parameters: 8.03e9, quantisation: 'q4_k_m', contextTokens: 8192, attention: { layers: 32, kvHeads: 8, headSize: 128 } },
    laptop,
  );

  expect(weightsBytes / GIB).toBeCloseTo(4.58, 1);
  expect(contextBytes).toBe(GIB);
});

test('a longer context turns a fit into an offload, and the largest context that is told really fits', () => {
  const short = judgeFit({ parameters: 14e9, quantisation: 'Q4_K_M', contextTokens: 8192 }, gamer);
  const long = judgeFit({ parameters: 14e9, quantisation: 'Q4_K_M', contextTokens: 65_536 }, gamer);

  expect([short.fit, long.fit]).toEqual(['fits', 'fits_with_offload']);
  expect(judgeFit({ parameters: 14e9, quantisation: 'Q4_K_M', contextTokens: short.largestContextTokens }, gamer).fit).not.toBe(
    'does_not_fit',
  );
  expect(judgeFit({ parameters: 14e9, quantisation: 'Q4_K_M', contextTokens: short.largestContextTokens + 100 }, gamer).fit).toBe(
    'does_not_fit',
  );
});

describe('whatever the model and the machine', () => {
  const models = fc.record({
    parameters: fc.double({ min: 1e8, max: 4e11, noNaN: true }),
    quantisation: fc.constantFrom(...Object.keys(BITS_PER_WEIGHT)),
    contextTokens: fc.integer({ min: 512, max: 1_000_000 }),
  });
  const machines = fc.record({
    freeMemoryBytes: fc.integer({ min: GIB, max: 512 * GIB }),
    gpus: fc.array(fc.record({ memoryBytes: fc.integer({ min: GIB, max: 141 * GIB }) }), { maxLength: 8 }),
  });
  const order = ['does_not_fit', 'fits_with_offload', 'fits'];

  test('more graphics memory never makes it fit worse where there was some, and a larger model never fits better', () => {
    fc.assert(
      fc.property(models, machines, (model, machine) => {
        const rank = (fit: string): number => order.indexOf(fit);
        const verdict = judgeFit(model, machine);
        if (machine.gpus.length > 0) {
          const more = { ...machine, gpus: [...machine.gpus, { memoryBytes: 24 * GIB }] };
          expect(rank(judgeFit(model, more).fit)).toBeGreaterThanOrEqual(rank(verdict.fit));
        }
        expect(rank(judgeFit({ ...model, parameters: model.parameters * 1.5 }, machine).fit)).toBeLessThanOrEqual(rank(verdict.fit));
        expect(verdict.gpuShare).toBeGreaterThanOrEqual(0);
        expect(verdict.gpuShare).toBeLessThanOrEqual(1);
      }),
    );
  });
});

test('the best quantisation is the largest that runs wholly where it is fast', () => {
  const offered = ['Q4_K_M', 'Q8_0', 'Q6_K', 'Q2_K'];

  expect(bestQuantisation({ parameters: 8e9, contextTokens: 8192 }, gamer, offered)).toBe('Q8_0');
  expect(bestQuantisation({ parameters: 14e9, contextTokens: 8192 }, gamer, offered)).toBe('Q4_K_M');
  expect(bestQuantisation({ parameters: 70e9, contextTokens: 8192 }, gamer, offered)).toBeUndefined();
});

test.each([
  ['8.2B', 8.2e9],
  ['qwen3:30b-a3b', 30e9],
  ['270M', 270e6],
  ['mixtral:8x7b', 56e9],
  ['llama3.1:latest', undefined],
])('%s has %s parameters', (text, parameters) => {
  expect(parseParameters(text)).toBe(parameters);
});
