/**
 * Measures the product on this machine: `npm run bench -- NAME [--json]`, all of them without a name.
 *
 * A measurement prints ratios against a baseline taken in the same run, since absolute times say more about the machine.
 * `--json` ends with one line `{"name", "ok", "metrics", "baseline"}`; `ok` is false when a bar is missed. What a
 * measurement started is ended and removed at its end, also after a failure, Ctrl-C or TERM.
 */
import { parseArgs } from 'node:util';
import type { Measure, Measurement } from './bench/measurement.ts';

const BENCHES: Record<string, () => Promise<{ measure: Measure }>> = {
  agent: () => import('./bench/agent.ts'),
  'bare-host': () => import('./bench/bare-host.ts'),
  suite: () => import('./bench/suite.ts'),
  dispatch: () => import('./bench/dispatch.ts'),
  scale: () => import('./bench/scale.ts'),
  start: () => import('./bench/start.ts'),
  sync: () => import('./bench/sync.ts'),
};
/** What does not let itself be cleaned up within this time is left behind. */
const CLEAN_UP_WITHIN_MS = 30_000;

let cleanUp: AsyncDisposableStack | undefined;
/** Set by an interrupt; it ends with the process. */
let ending: Promise<void> | undefined;
for (const [signal, status] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)
  process.once(signal, () => {
    setTimeout(() => process.exit(status), CLEAN_UP_WITHIN_MS).unref();
    ending = (cleanUp?.disposeAsync() ?? Promise.resolve())
      .catch((error: unknown) => console.error(error))
      .finally(() => process.exit(status));
  });

const { values, positionals } = parseArgs({ allowPositionals: true, options: { json: { type: 'boolean' } } });
const unknown = positionals.filter((name) => !(name in BENCHES));
if (unknown.length > 0) {
  console.error(`there is no benchmark ${unknown.join(', ')}; there are ${Object.keys(BENCHES).join(', ')}`);
  process.exitCode = 2;
} else {
  for (const name of positionals.length > 0 ? positionals : Object.keys(BENCHES)) {
    const load = BENCHES[name];
    if (!load) continue;
    const result = await run(await load());
    if (!values.json) print(name, result);
    else console.log(JSON.stringify({ name, ok: result.bars.every((bar) => bar.ok), metrics: result.metrics, baseline: result.baseline }));
    if (result.bars.some((bar) => !bar.ok)) process.exitCode = 1;
  }
}

async function run({ measure }: { measure: Measure }): Promise<Measurement> {
  const stack = new AsyncDisposableStack();
  cleanUp = stack;
  try {
    return await measure(stack);
  } finally {
    // What fails after an interrupt fails because of it, and must not end the process before all is cleaned up.
    await (ending ?? stack.disposeAsync());
  }
}

function print(name: string, { metrics, baseline, bars }: Measurement): void {
  console.log(`\n${name}`);
  for (const [key, value] of Object.entries(metrics)) console.log(`  ${key.padEnd(34)} ${format(value)}`);
  console.log(`  beside ${baseline.name}`);
  for (const [key, value] of Object.entries(baseline.metrics)) console.log(`  ${key.padEnd(34)} ${format(value)}`);
  for (const { bar, ok } of bars) console.log(`  ${ok ? 'met   ' : 'missed'} ${bar}`);
}

function format(value: number | string | null): string {
  return typeof value === 'number' ? String(Math.round(value * 1000) / 1000) : String(value);
}
