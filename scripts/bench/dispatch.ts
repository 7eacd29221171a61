import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Client } from '@helixcode/client/http-client';
import { createLiveClient } from '@helixcode/client/live-client';

import { givenHome, removeServer, startServer } from '../../test/support/server-process.ts';
import { workersAreUp } from '../../test/support/wait-for.ts';
import { atLeast, atMost, type Measurement, quantile } from './measurement.ts';

const SINGLE_TASKS = 200;
const LEAVES = 3_000;
const SSH_RUNS = 50;

/** From the API's submit to a started process on an idle local worker, and trivial leaves through one parent. */
export async function measure(): Promise<Measurement> {
  const home = givenHome();
  const server = await startServer(home, { HELIX_WORKERS_LOCAL_SLOTS: '2' });
  try {
    const { client } = server;
    await workersAreUp(client, 1);
    const live = createLiveClient({ baseUrl: server.url, token: server.token });
    // The first tasks pay for code that is compiled and connections that are opened.
    for (let n = 0; n < 20; n++) await timeStart(client, live);
    const startsMs: number[] = [];
    for (let n = 0; n < SINGLE_TASKS; n++) startsMs.push(await timeStart(client, live));
    const leavesPerSecond = await timeLeaves(client, live);
    live.close();
    const ssh = hasSshd() ? await timeSsh() : undefined;

    const [p50, p99] = [quantile(startsMs, 0.5), quantile(startsMs, 0.99)];
    return {
      metrics: { submitToProcessP50Ms: p50, submitToProcessP99Ms: p99, leavesPerSecond },
      baseline: {
        name: 'ssh host true over a shared connection',
        metrics: { sshP50Ms: ssh?.p50 ?? null, sshP99Ms: ssh?.p99 ?? null, ratioP50: ssh ? p50 / ssh.p50 : null },
      },
      bars: [
        atMost('submit to process p50 in ms', p50, 20),
        atMost('submit to process p99 in ms', p99, 80),
        atLeast('trivial leaves per second through one parent', leavesPerSecond, 300),
      ],
    };
  } finally {
    await removeServer(server);
  }
}

/** The process itself says when it runs: `date` costs about a millisecond of what is measured. */
async function timeStart(client: Client, live: ReturnType<typeof createLiveClient>): Promise<number> {
  const submittedMs = performance.timeOrigin + performance.now();
  const task = await client.call('tasks.submit', { body: { kind: 'shell', spec: { command: 'date +%s%N' } } });
  await settled(client, live, task.id);
  const output = await client.call('tasks.output', { params: { task: task.id } });
  return Number(BigInt((await output.text()).trim()) / 1000n) / 1000 - submittedMs;
}

async function timeLeaves(client: Client, live: ReturnType<typeof createLiveClient>): Promise<number> {
  const startMs = performance.now();
  const each = Array.from({ length: LEAVES }, (_, n) => String(n));
  const task = await client.call('tasks.submit', { body: { kind: 'shell', spec: { command: ':', each } } });
  await settled(client, live, task.id);
  return LEAVES / ((performance.now() - startMs) / 1000);
}

async function settled(client: Client, live: ReturnType<typeof createLiveClient>, task: string): Promise<void> {
  const stop = new AbortController();
  for await (const event of live.subscribe({ topic: `task:${task}`, after: 0, signal: stop.signal })) {
    if (event.task === task && event.body.type === 'task.moved' && ['completed', 'failed', 'cancelled'].includes(event.body.to)) break;
  }
  stop.abort();
  const { state, failure } = await client.call('tasks.get', { params: { task } });
  if (state !== 'completed') throw new Error(`task ${task} is ${state}: ${failure?.message}`);
}

async function timeSsh(): Promise<{ p50: number; p99: number }> {
  const sshd = await givenSshd();
  const run = promisify(execFile);
  const args = [...sshd.clientArgs, '-o', 'ControlMaster=auto', '-o', `ControlPath=${sshd.folder}/mux`, '-o', 'ControlPersist=60'];
  try {
    await run('ssh', [...args, '127.0.0.1', 'true']);
    const timesMs: number[] = [];
    for (let n = 0; n < SSH_RUNS; n++) {
      const startMs = performance.now();
      await run('ssh', [...args, '127.0.0.1', 'true']);
      timesMs.push(performance.now() - startMs);
    }
    await run('ssh', [...args, '-O', 'exit', '127.0.0.1']).catch(() => {});
    return { p50: quantile(timesMs, 0.5), p99: quantile(timesMs, 0.99) };
  } finally {
    await sshd.stop();
  }
}
