/**
 * Breaks what can break while work is under way, and holds the books against what was done:
 * `npm run chaos -- [--minutes N] [--seed S] [--json]` for tasks of every kind, `npm run chaos -- agent [--runs N] [--seed S] [--json]` for agents.
 *
 * Everything it starts runs on this machine, talks over the loopback, and is ended at the end, also after Ctrl-C or TERM.
 * The seed decides what is handed in and which faults happen, in which order; how they meet is the machine's affair.
 * `--json` ends with one line `{"ok", "kills", "tasks", "lost", "duplicated", "falseSuccesses", "recoveryMs"}`, for agents also
 * with `turnsLost` and `filesLost`. When something is not as it must be, the exit status is 1, each offending task is named, and
 * the folder is kept; `--keep` keeps it in any case.
 */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { runAgentChaos } from '../test/chaos/agent/agent-chaos.ts';
import { agentChaosLine, agentChaosTable } from '../test/chaos/agent/agent-chaos-table.ts';
import { runChaos } from '../test/chaos/chaos-run.ts';
import { chaosLine, chaosTable } from '../test/chaos/chaos-table.ts';
import type { Finding } from '../test/chaos/findings.ts';

/** What does not let itself be ended within this time is left behind. */
const CLEAN_UP_WITHIN_MS = 30_000;
const FINDINGS_SHOWN = 40;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    minutes: { type: 'string', default: '3' },
    runs: { type: 'string', default: '50' },
    seed: { type: 'string', default: String(randomInt(1_000_000)) },
    json: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
  },
});
const [subject, ...more] = positionals;
if ((subject !== undefined && subject !== 'agent') || more.length > 0) {
  console.error(`there is no chaos for ${positionals.join(' ')}: say agent, or nothing`);
  process.exit(2);
}
const minutes = Number(values.minutes);
const runs = Number(values.runs);
if (!(minutes > 0)) {
  console.error(`--minutes is ${JSON.stringify(values.minutes)}, expected a number above 0`);
  process.exit(2);
}
if (!(Number.isInteger(runs) && runs > 0)) {
  console.error(`--runs is ${JSON.stringify(values.runs)}, expected a whole number above 0`);
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
const length = subject === 'agent' ? `agent --runs ${runs}` : `--minutes ${values.minutes}`;
const again = `npm run chaos -- ${length} --seed ${values.seed}`;
say(`chaos: ${again}`);
try {
  const { ok, folder, findings, table, line } = await run();
  say(table);
  for (const { kind, where, what } of findings.slice(0, FINDINGS_SHOWN)) say(`${kind}: ${where}: ${what}`);
  if (!ok || values.keep) say(`\nto run it again: ${again}\nwhat there is to look at: ${folder}`);
  if (!ok) process.exitCode = 1;
  await cleanUp.disposeAsync();
  if (values.json) console.log(line);
} finally {
  // What fails after an interrupt fails because of it, and must not end the process before all is ended.
  await (ending ?? cleanUp.disposeAsync());
}

async function run(): Promise<{ ok: boolean; folder: string; findings: Finding[]; table: string; line: string }> {
  const options = { seed: values.seed, isKept: values.keep, say };
  if (subject === 'agent') {
    const result = await runAgentChaos({ ...options, runs }, cleanUp);
    return { ...result, table: agentChaosTable(result), line: agentChaosLine(result) };
  }
  const result = await runChaos({ ...options, minutes }, cleanUp);
  return { ...result, table: chaosTable(result), line: chaosLine(result) };
}
