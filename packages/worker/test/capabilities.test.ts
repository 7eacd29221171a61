import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { machineFacts, workerLoad } from '@helixcode/protocol/worker/capabilities';
import { expect, onTestFinished, test } from 'vitest';
import { findGpus, parseNvidiaDriver, parseNvidiaSmi } from '../src/capabilities/gpus.ts';
import { LoadSampler } from '../src/capabilities/load-sampler.ts';
import { FactFinder } from '../src/capabilities/machine-facts.ts';
import { findTools, versionIn } from '../src/capabilities/tools.ts';
import { baseEnvironment } from '../src/home/program-path.ts';

function givenPrograms(programs: Record<string, string>): string {
  const folder = mkdtempSync(join(tmpdir(), 'helix-programs-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  for (const [name, script] of Object.entries(programs)) {
    writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(folder, name), 0o755);
  }
  return folder;
}

test('a program is a capability only when it runs: docker without a daemon is not', async () => {
  const path = givenPrograms({
    git: 'echo git version 2.39.5',
    go: '[ "$1" = version ] && echo go version go1.24rc1 linux/amd64',
    java: 'echo \'openjdk version "17.0.15" 2025\' >&2',
    docker: '[ "$1" = --version ] && echo Docker version 27.0.1 || { echo Cannot connect to the Docker daemon >&2; exit 1; }',
    node: 'exit 127',
    make: 'read -r line; echo "GNU Make 4.3"',
  });
  expect(await findTools(path)).toEqual({ git: '2.39.5', go: '1.24rc1', java: '17.0.15', make: '4.3' });
});

test('versions are read from what programs print', () => {
  expect(versionIn('v24.21.0\n')).toBe('24.21.0');
  expect(versionIn('g++ (Debian 12.2.0-14+deb12u1) 12.2.0')).toBe('12.2.0-14+deb12u1');
  expect(versionIn('built from trunk\nmore')).toBe('built from trunk');
  expect(versionIn('')).toBeUndefined();
});

test('graphics cards come from nvidia-smi, whatever is in their names', async () => {
  const table = 'NVIDIA A100-SXM4-40GB, 40960\nTesla T4, rev. 2, 15360\nNVIDIA GH200, [N/A]\n\n';
  expect(parseNvidiaSmi(table)).toEqual([
    { name: 'NVIDIA A100-SXM4-40GB', memoryBytes: 40_960 * 1024 ** 2 },
    { name: 'Tesla T4, rev. 2', memoryBytes: 15_360 * 1024 ** 2 },
    { name: 'NVIDIA GH200', memoryBytes: 0 },
  ]);
  expect(parseNvidiaSmi("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n")).toEqual([]);
  expect(await findGpus(givenPrograms({ 'nvidia-smi': 'echo "NVIDIA L4, 23034"' }))).toEqual([
    { name: 'NVIDIA L4', memoryBytes: 23_034 * 1024 ** 2 },
  ]);
  expect(parseNvidiaDriver('Model: \t\t NVIDIA GeForce RTX 3090\nIRQ:   \t\t 60\n')).toEqual({
    name: 'NVIDIA GeForce RTX 3090',
    memoryBytes: 0,
  });
});

test('facts and load of this machine are what the protocol asks for', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'helix-facts-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const path = baseEnvironment()['PATH'] ?? '';
  const finder = new FactFinder(join(folder, 'facts.json'), folder, path, () => {});
  const quick = machineFacts.parse(await finder.facts());
  expect(quick.tools).toEqual({});
  const facts = machineFacts.parse(await finder.refresh());
  expect(facts).toMatchObject({ cores: availableParallelism(), tools: { git: expect.any(String) } });
  expect(await new FactFinder(join(folder, 'facts.json'), folder, path, () => {}).facts()).toEqual(facts);
  expect(await finder.platform()).toMatch(new RegExp(`^${process.platform}-${process.arch}-[a-z]+`));

  const load = workerLoad.parse(new LoadSampler(folder).sample(3));
  expect(load.runningJobs).toBe(3);
  expect(load.memoryFreeBytes).toBeGreaterThan(0);
});

test('jobs do not inherit how the daemon was started', () => {
  const base = baseEnvironment({
    PATH: '/x/node_modules/.bin:relative:/opt/bin:/usr/bin:/x/node_modules/@npmcli/run-script/lib/node-gyp-bin',
    HOME: '/h',
    NODE_OPTIONS: '--x',
    npm_config_y: '1',
  });
  expect(base['PATH']?.split(':').slice(0, 3)).toEqual(['/opt/bin', '/usr/bin', '/usr/local/sbin']);
  expect(Object.keys(base).sort()).toEqual(['HOME', 'LANG', 'LOGNAME', 'PATH', 'SHELL', 'USER']);
});
