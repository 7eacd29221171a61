import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Client } from '@helixcode/client/http-client';
import { createLiveClient, type LiveClient } from '@helixcode/client/live-client';
import { isSettled } from '@helixcode/protocol/task/task-state';
import { givenSshd, noSshd } from '../../packages/server/test/support/sshd.ts';
import { workersAreUp } from '../../test/support/wait-for.ts';
import { mustRun, runCommand } from '../demo/command.ts';
import { benchServer } from './bench-server.ts';
import { atLeast, atMost, type Measurement, quantile } from './measurement.ts';
import { sshOptions } from './ssh-options.ts';

const WARM_UP_TASKS = 40;
const SINGLE_TASKS = 200;
const WARM_UP_LEAVES = 500;
const LEAVES = 3_000;
const SSH_RUNS = 50;
const LOOK_AGAIN_MS = 100;

/** From the API's submit to a started process on an idle local worker, and trivial leaves through one parent. */
export async function measure(cleanUp: AsyncDisposableStack): Promise<Measurement> {
  const { client, url, token } = await benchServer(cleanUp);
  await workersAreUp(client, 1);
  const live = createLiveClient({ baseUrl: url, token });
  cleanUp.defer(() => live.close());
  // The first tasks pay for code that is compiled and connections that are opened.
  for (let n = 0; n < WARM_UP_TASKS; n++) await timeStart(client, live);
  const startsMs: number[] = [];
  for (let n = 0; n < SINGLE_TASKS; n++) startsMs.push(await timeStart(client, live));
  await timeLeaves(client, WARM_UP_LEAVES);
  const leavesPerSecond = await timeLeaves(client, LEAVES);
  const ssh = noSshd ? undefined : await timeSsh(cleanUp);

  const [p50, p99] = [quantile(startsMs, 0.5), quantile(startsMs, 0.99)];
  return {
    metrics: { submitToProcessP50Ms: p50, submitToProcessP99Ms: p99, leavesPerSecond },
    baseline: {
      name: ssh ? 'ssh host true over a shared connection' : `nothing: ${noSshd}`,
      metrics: { sshP50Ms: ssh?.p50 ?? null, sshP99Ms: ssh?.p99 ?? null, ratioP50: ssh ? p50 / ssh.p50 : null },
    },
    bars: [
      atMost('submit to process p50 in ms', p50, 20),
      atMost('submit to process p99 in ms', p99, 80),
      atLeast('trivial leaves per second through one parent', leavesPerSecond, 300),
    ],
  };
}

/** The process itself says when it runs: `date` costs about a millisecond of what is measured. */
async function timeStart(client: Client, live: LiveClient): Promise<number> {
  const submittedMs = performance.timeOrigin + performance.now();
  const task = await client.call('tasks.submit', { body: { kind: 'shell', spec: { command: 'date +%s%N' } } });
  await completed(client, live, task.id);
  const output = await client.call('tasks.output', { params: { task: task.id } });
  return Number(BigInt((await output.text()).trim()) / 1000n) / 1000 - submittedMs;
}

/** @returns leaves per second, from the submission until the parent is completed */
async function timeLeaves(client: Client, leaves: number): Promise<number> {
  const startMs = performance.now();
  const each = Array.from({ length: leaves }, (_, n) => String(n));
  const { id } = await client.call('tasks.submit', { body: { kind: 'shell', spec: { command: ':', each } } });
  for (;;) {
    // Followed by its state alone: sending a follower six events for each leaf is not what is measured.
    const { items } = await client.call('tasks.list', { query: { limit: 1 } });
    const state = items[0]?.id === id ? items[0].state : undefined;
    if (state === 'completed') return leaves / ((performance.now() - startMs) / 1000);
    if (state === undefined || isSettled(state)) throw new Error(`task ${id} is ${state}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
  }
}

async function completed(client: Client, live: LiveClient, task: string): Promise<void> {
  for await (const event of live.subscribe({ topic: `task:${task}`, after: 0 }))
    if (event.task === task && event.body.type === 'task.moved' && isSettled(event.body.to)) break;
  const { state, failure } = await client.call('tasks.get', { params: { task } });
  if (state !== 'completed') throw new Error(`task ${task} is ${state}: ${failure?.message}`);
}

async function timeSsh(cleanUp: AsyncDisposableStack): Promise<{ p50: number; p99: number }> {
  const sshd = await givenSshd();
  cleanUp.defer(() => sshd.remove());
  const folder = mkdtempSync(path.join(tmpdir(), 'helix-mux-'));
  cleanUp.defer(() => rmSync(folder, { recursive: true, force: true }));
  const options = [...sshOptions(sshd), '-o', `ControlPath=${path.join(folder, 'mux')}`];
  const target = `${sshd.user}@${sshd.host}`;
  const master = spawn('ssh', [...options, '-o', 'ControlMaster=yes', '-N', target], { stdio: 'ignore' });
  cleanUp.defer(() => void master.kill());
  while ((await runCommand('ssh', [...options, '-O', 'check', target])).exitCode !== 0) {
    if (master.exitCode !== null) throw new Error(`ssh to the sshd of the baseline ended with ${master.exitCode}:\n${sshd.log()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const timesMs: number[] = [];
  for (let n = 0; n < SSH_RUNS; n++) {
    const startMs = performance.now();
    await mustRun('ssh', [...options, target, 'true']);
    timesMs.push(performance.now() - startMs);
  }
  return { p50: quantile(timesMs, 0.5), p99: quantile(timesMs, 0.99) };
}
