import { spawnSync } from 'node:child_process';
import {
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import type { UnitResult } from '@helixcode/protocol/test/test-result';
import { onTestFinished } from 'vitest';
import type { ProjectFiles, RunOutput, RunResults, TestOptions, TestRunner } from '../../../src/tasks/testing/test-runner.ts';

export const plainOptions: TestOptions = { args: [], coverage: false };

/** A folder with these files, gone after the test. */
export function givenProject(files: Record<string, string>): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'helix-project-')));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  return folder;
}

/** Where a package lies that can be resolved from here, or from the folder `HELIX_TEST_TOOLS` names. */
export function findTool(name: string): string | undefined {
  for (const from of [import.meta.url, join(process.env['HELIX_TEST_TOOLS'] ?? '/nonexistent', 'package.json')]) {
    try {
      return dirname(createRequire(from).resolve(`${name}/package.json`));
    } catch {
      // looked for further on
    }
  }
  return undefined;
}

/** Makes an installed package a dependency of the project, its program included. */
export function installTool(folder: string, name: string): void {
  const tool = findTool(name);
  if (tool === undefined) throw new Error(`${name} is not installed here`);
  mkdirSync(join(folder, 'node_modules/.bin'), { recursive: true });
  symlinkSync(tool, join(folder, 'node_modules', name));
  symlinkSync(realpathSync(join(tool, '..', '.bin', name)), join(folder, 'node_modules/.bin', name));
}

export function hasProgram(name: string): boolean {
  return spawnSync('/bin/sh', ['-c', `command -v ${name}`]).status === 0;
}

/** The files of a folder but for what is installed, as a commit of it would have them. */
export function projectFiles(folder: string): ProjectFiles {
  return {
    paths: globSync('**', {
      cwd: folder,
      exclude: (entry) => entry.name === 'node_modules' || entry.name === 'target',
      withFileTypes: true,
    })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1)),
    read: async (path) => (existsSync(join(folder, path)) ? readFileSync(join(folder, path), 'utf8') : undefined),
    sizeBytes: (path) => statSync(join(folder, path), { throwIfNoEntry: false })?.size,
  };
}

/** Files in memory. */
export function filesOf(files: Record<string, string>): ProjectFiles {
  return { paths: Object.keys(files), read: async (path) => files[path], sizeBytes: (path) => files[path]?.length };
}

/** What a command left, from its streams. */
export function outputOf(exitCode: number, streams: Record<string, string | Uint8Array>): RunOutput {
  return {
    exitCode,
    async read(stream, lastBytes) {
      const content = streams[stream];
      const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
      return bytes && lastBytes !== undefined ? bytes.subarray(-lastBytes) : bytes;
    },
  };
}

/** Runs a command as a worker does: `/bin/sh` in the folder, with an output folder of its own. */
export function runInFolder(command: string, folder: string): RunOutput {
  const outputFolder = mkdtempSync(join(tmpdir(), 'helix-output-'));
  onTestFinished(() => rmSync(outputFolder, { recursive: true, force: true }));
  // The variables of the vitest we run in would reach the one we start.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(?:VITEST|NODE_ENV$|NODE_OPTIONS$|NODE_V8_COVERAGE$|TEST$)/.test(name)),
  );
  env['PATH'] = `${dirname(process.execPath)}:${env['PATH'] ?? ''}`;
  const ran = spawnSync('/bin/sh', ['-c', command], { cwd: folder, env: { ...env, HELIX_OUTPUT_DIR: outputFolder }, maxBuffer: 2 ** 28 });
  return {
    exitCode: ran.status ?? 128,
    async read(stream, lastBytes) {
      const path = resolve(outputFolder, stream.slice('file:'.length));
      const bytes = stream === 'out' ? ran.stdout : stream === 'err' ? ran.stderr : existsSync(path) ? readFileSync(path) : undefined;
      return bytes && lastBytes !== undefined ? bytes.subarray(-lastBytes) : bytes;
    },
  };
}

export async function listUnits(runner: TestRunner, folder: string, options = plainOptions): Promise<string[]> {
  const files = projectFiles(folder);
  const listing = await runner.list(files, options);
  return 'units' in listing ? listing.units : await runner.parseListing(runInFolder(listing.command, folder), files);
}

export async function runUnits(runner: TestRunner, folder: string, units: readonly string[], options = plainOptions): Promise<RunResults> {
  const command = await runner.runCommand(projectFiles(folder), units, options);
  return await runner.parseResults(runInFolder(command, folder), units);
}

/** A result as short lines: `unit: outcome`, then `  outcome name` of each case. */
export function inShort(results: readonly UnitResult[]): string[] {
  return results.flatMap((result) => [`${result.unit}: ${result.outcome}`, ...result.cases.map((one) => `  ${one.outcome} ${one.name}`)]);
}
