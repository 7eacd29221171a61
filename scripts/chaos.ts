/**
 * Breaks what can break while work is under way, and holds the books against what was done:
 * `npm run chaos -- [--minutes N] [--seed S] [--json]`.
 *
 * Everything it starts runs on this machine, talks over the loopback, and is ended at the end, also after Ctrl-C or TERM.
 * The seed decides which tasks are handed in and which faults happen, in which order; how they meet is the machine's
 * affair. `--json` ends with one line `{"ok", "kills", "tasks", "lost", "duplicated", "falseSuccesses", "recoveryMs"}`.
 * When something is not as it must be, the exit status is 1, each offending task is named, and the folder is kept; `--keep`
 * keeps it in any case.
 */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { runChaos } from '../test/chaos/chaos-run.ts';
import { chaosLine, chaosTable } from '../test/chaos/chaos-table.ts';

/** What does not let itself be ended within this time is left behind. */
const CLEAN_UP_WITHIN_MS = 30_000;
const FINDINGS_SHOWN = 40;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '3' },
    seed: { type: 'string', default: String(randomInt(1_000_000)) },
    json: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
  },
});
const minutes = Number(values.minutes);
if (!(minutes > 0)) {
  console.error(`--minutes is ${JSON.stringify(values.minutes)}, expected a number above 0`);
  process.exit(2);
}

const cleanUp = new AsyncDisposableStack();
/** Set by an interrupt; it ends with the process. */
let ending: Promise<void> | undefined;
for (const [signal, status] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)
  process.once(signal, () => {
    setTimeout(() => process.exit(status), CLEAN_UP_WITHIN_MS).unref();
    ending = cleanUp
      .disposeAsync()
      .catch((error: unknown) => console.error(error))
      .finally(() => process.exit(status));
  });

/** To people: with `--json`, stdout belongs to the one line. */
const say = (sentence: string): void => (values.json ? console.error(sentence) : console.log(sentence));
const again = `npm run chaos -- --minutes ${values.minutes} --seed ${values.seed}`;
say(`chaos for ${minutes} min with seed ${values.seed}`);
try {
  const result = await runChaos({ minutes, seed: values.seed, isKept: values.keep, say }, cleanUp);
  say(chaosTable(result));
  for (const { kind, where, what } of result.findings.slice(0, FINDINGS_SHOWN)) say(`${kind}: ${where}: ${what}`);
  if (!result.ok || values.keep) say(`\nto run it again: ${again}\nwhat there is to look at: ${result.folder}`);
  if (!result.ok) process.exitCode = 1;
  await cleanUp.disposeAsync();
  if (values.json) console.log(chaosLine(result));
} finally {
  // What fails after an interrupt fails because of it, and must not end the process before all is ended.
  await (ending ?? cleanUp.disposeAsync());
}
