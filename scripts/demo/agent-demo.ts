import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { styleText } from 'node:util';
import { createClient } from '@helixcode/client/http-client';
import { createLiveClient } from '@helixcode/client/live-client';
import type { SessionEntryView } from '@helixcode/protocol/api/session-views';
import type { Event } from '@helixcode/protocol/event/events';
import { processesIn } from '../../test/chaos/processes-in.ts';
import { type DemoFleet, givenDemoFleet, ROOT } from './demo-fleet.ts';
import { removeRates } from './suite-demo.ts';

const GOAL = 'The test suite of this project fails. Find the bug behind it and mend it.';
const TRANSCRIPT = path.join(ROOT, 'examples/agent-demo/written-transcript.jsonl');
const TEXT_CHARACTERS = 160;

interface Told {
  session: string;
  /** What is said of every line that a model would have said. */
  mark: string;
  kills: string[];
}

/**
 * Has an agent mend the bug of the sample project while the worker its files are on is killed, and then the server.
 *
 * Without a model (`HELIX_MODEL=provider/model`, with its key) a transcript that was written for it stands in, and each of its lines says so.
 *
 * @returns whether it ended with a verified receipt, and with both killed
 */
export async function showAgent({ isJson, isKept }: { isJson: boolean; isKept: boolean }): Promise<boolean> {
  const startMs = performance.now();
  const model = process.env['HELIX_MODEL'];
  const fleet = await givenDemoFleet({
    isJson,
    config: {
      workers: { lostAfterMs: 3_000, heartbeatMs: 500 },
      providers:
        model === undefined
          ? { pool: [{ kind: 'replay', transcripts: { 'agent-demo': TRANSCRIPT } }], default: ['replay/agent-demo'] }
          : { default: [model] },
    },
  });
  const tasks: string[] = [];
  try {
    let url = await fleet.startServer();
    await fleet.addWorkers();
    if (model === undefined)
      fleet.say('no model is configured (HELIX_MODEL): what the model says is replayed from a transcript that was written by hand');
    const connect = () => createClient({ baseUrl: url, token: tokenOf(fleet) });
    const project = await connect().call('projects.add', { body: { name: 'corner-shop', source: fleet.repository } });
    const commit = execFileSync('git', ['rev-parse', 'HEAD'], { cwd: fleet.repository, encoding: 'utf8' }).trim();
    fleet.say(styleText('bold', `goal: ${GOAL}`));
    const session = await connect().call('sessions.start', {
      body: { project: project.id, commit, goal: GOAL, ...(model !== undefined && { model }) },
    });
    tasks.push(session.task);
    const told: Told = { session: session.id, mark: model === undefined ? '[replayed] ' : '', kills: [] };
    let shown = 0;

    for (let isOver = false; !isOver; ) {
      // A server that is killed takes its event stream along.
      const live = createLiveClient({ baseUrl: url, token: tokenOf(fleet) });
      try {
        for await (const event of live.subscribe({ topic: `task:${session.task}`, after: 0 })) {
          noteTask(event, tasks);
          if (event.body.type === 'session.entry' && event.body.entry > shown) shown = await showEntries(fleet, connect(), told, shown);
          if (
            event.task === session.task &&
            event.body.type === 'task.moved' &&
            ['completed', 'failed', 'cancelled'].includes(event.body.to)
          ) {
            isOver = true;
            break;
          }
          if (told.kills.length === 0 && (await hasEdited(connect(), session.id))) await killWorker(fleet, connect(), told);
          else if (told.kills.length === 1 && (await hasGoneOn(connect(), session.id))) {
            await killServer(fleet, told);
            url = await fleet.startServer();
            break;
          }
        }
      } finally {
        live.close();
      }
    }

    const end = await connect().call('sessions.get', { params: { session: session.id } });
    const [receipt] = end.ending?.receipts ?? [];
    if (receipt === undefined) throw new Error(`the agent ended without a receipt: ${end.failure?.message ?? end.state}`);
    await fleet.helix('receipts', 'verify', receipt);
    const branch = await fetchBranch(fleet, connect(), session.id);
    const ok = end.state === 'done' && end.ending?.proof === 'verified' && told.kills.length === 2;
    const wallMs = Math.round(performance.now() - startMs);
    if (isJson)
      console.log(
        JSON.stringify({
          ok,
          model: end.model,
          replayed: model === undefined,
          session: session.id,
          turns: end.turns,
          killed: told.kills,
          receipt,
          branch,
          changedFiles: end.ending?.changedFiles ?? [],
          wallMs,
          url: `${url}/api/v1/sessions/${session.id}`,
        }),
      );
    else {
      const rows = [
        ['model', `${end.model}${model === undefined ? ' (replayed: no model was asked)' : ''}, ${end.turns} turns`],
        ['killed on the way', told.kills.join(', then ')],
        ['changed', end.ending?.changedFiles.join(', ') ?? ''],
        ['receipt', `${receipt}: the suite passed at these files, signed by the server and verified`],
        ['branch', `${branch} (git diff main...${branch})`],
        ['in all', `${(wallMs / 1000).toFixed(1)} s`],
      ];
      console.log('');
      for (const [name = '', value = ''] of rows) console.log(`  ${name.padEnd(20)} ${value}`);
      console.log(execFileSync('git', ['diff', '--stat', `main...${branch}`], { cwd: fleet.repository, encoding: 'utf8' }));
    }
    return ok;
  } finally {
    await fleet.end(isKept);
    if (!isKept) for (const task of tasks) removeRates(task);
  }
}

function tokenOf({ home }: DemoFleet): string {
  return readFileSync(path.join(home, 'owner-token'), 'utf8').trim();
}

function noteTask({ task, body }: Event, tasks: string[]): void {
  if (body.type === 'task.created' && body.kind === 'test' && task !== undefined && !tasks.includes(task)) tasks.push(task);
}

type Client = ReturnType<typeof createClient>;

async function entriesOf(client: Client, session: string, after = 0): Promise<SessionEntryView[]> {
  return (await client.call('sessions.entries', { params: { session }, query: { after } })).items;
}

/** @returns the newest entry that was shown */
async function showEntries(fleet: DemoFleet, client: Client, { session, mark }: Told, after: number): Promise<number> {
  const entries = await entriesOf(client, session, after);
  for (const entry of entries) {
    const line = lineOf(entry);
    if (line !== undefined) fleet.say(entry.type === 'model_answered' && entry.replayed ? `${styleText('yellow', mark)}${line}` : line);
  }
  return entries.at(-1)?.id ?? after;
}

function lineOf({ type, text = '', calls = [], isError, receipts = [] }: SessionEntryView): string | undefined {
  const short = (words: string): string => words.trim().replaceAll(/\s+/g, ' ').slice(0, TEXT_CHARACTERS);
  switch (type) {
    case 'model_answered':
      return [short(text), ...calls.map(({ tool, input }) => `${styleText('cyan', tool)} ${short(JSON.stringify(input))}`)]
        .filter((one) => one !== '')
        .join(' → ');
    case 'tool_finished':
    case 'tool_unknown':
      return `  ${styleText(isError ? 'red' : 'dim', short(text))}`;
    case 'evidence_given':
      return `  verified at the final files: ${receipts.map(({ command, exitCode }) => `${command} → ${exitCode === 0 ? 'passed' : 'failed'}`).join(', ')}`;
    case 'parked':
      return styleText('yellow', `it waits: ${text}`);
    default:
      return undefined;
  }
}

/** Whether the files have changed. */
async function hasEdited(client: Client, session: string): Promise<boolean> {
  const entries = await entriesOf(client, session);
  return entries.some(({ type, isError, text = '' }) => type === 'tool_finished' && !isError && text.startsWith('edited '));
}

/** Whether something was done after the change, on the worker that has the files now. */
async function hasGoneOn(client: Client, session: string): Promise<boolean> {
  const entries = await entriesOf(client, session);
  const edited = entries.findIndex(({ type, text = '' }) => type === 'tool_finished' && text.startsWith('edited '));
  return edited !== -1 && entries.slice(edited + 1).some(({ type }) => type === 'tool_finished');
}

/** Kills -9 the daemon of the worker that has the agent's files, and everything that runs there. */
async function killWorker(fleet: DemoFleet, client: Client, told: Told): Promise<void> {
  const { worker } = await client.call('sessions.get', { params: { session: told.session } });
  if (worker === undefined) return;
  const { items } = await client.call('workers.list');
  const id = items.find(({ name }) => name === worker)?.id ?? '';
  const pids = id === '' ? [] : processesIn(id);
  for (const { pid } of pids) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It ended with one before it.
    }
  }
  told.kills.push(`worker ${worker}`);
  fleet.say(styleText(['bold', 'red'], `kill -9 of worker ${worker}, which has the agent's files: ${pids.length} processes`));
}

async function killServer(fleet: DemoFleet, told: Told): Promise<void> {
  const { pid } = JSON.parse(readFileSync(path.join(fleet.home, 'server.json'), 'utf8')) as { pid: number };
  process.kill(pid, 'SIGKILL');
  told.kills.push('server');
  fleet.say(styleText(['bold', 'red'], `kill -9 of the server (process ${pid})`));
}

/** The agent's change as a branch of the repository, whose HEAD, index and files stay as they are. */
async function fetchBranch(fleet: DemoFleet, client: Client, session: string): Promise<string> {
  const response = await client.call('sessions.changes', { params: { session } });
  const commit = response.headers.get('helix-commit') ?? '';
  const bundle = path.join(fleet.folder, 'changes.bundle');
  writeFileSync(bundle, Buffer.from(await response.arrayBuffer()));
  const branch = `helix/${session.slice(-6)}`;
  const git = (...args: string[]): void => void execFileSync('git', args, { cwd: fleet.repository, stdio: 'ignore' });
  git('fetch', '--quiet', bundle, '+refs/*:refs/helix/fetched/*');
  git('branch', branch, commit);
  return branch;
}
