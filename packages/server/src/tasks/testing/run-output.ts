import { posix } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { CodedError } from '@helixcode/protocol/errors';
import type { RunOutput } from './test-runner.ts';

const messageLimit = 16_000;
const tailBytes = 4_000;

/** The start of every command: leaves the checkout's own path in `root`, for results that name absolute paths. */
export const NOTE_ROOT = 'pwd -P >"$HELIX_OUTPUT_DIR/root"';

/** A stream as text, empty where there is none; bytes that are not UTF-8 come out as U+FFFD. */
export async function readText(output: RunOutput, stream: Parameters<RunOutput['read']>[0], lastBytes?: number): Promise<string> {
  return new TextDecoder().decode(await output.read(stream, lastBytes));
}

/** Where the checkout lay on the worker, `undefined` when the command did not come as far as `NOTE_ROOT`. */
export async function readRoot(output: RunOutput): Promise<string | undefined> {
  const root = (await readText(output, 'file:root')).replace(/\n$/, '');
  return root.startsWith('/') ? root : undefined;
}

/** `path` relative to the root; `undefined` where it lies outside. */
export function relativeToRoot(path: string, root: string | undefined): string | undefined {
  if (!path.startsWith('/')) {
    const normal = posix.normalize(path);
    return normal.startsWith('../') ? undefined : normal;
  }
  if (root === undefined) return undefined;
  const relative = posix.relative(root, path);
  return relative.startsWith('../') || relative === '..' ? undefined : relative || '.';
}

/** A message of a failure as it is kept: no terminal colours, its middle left out beyond 16,000 characters. */
export function boundMessage(message: string): string {
  const plain = stripVTControlCharacters(message).replace(/\r\n/g, '\n').trim();
  if (plain.length <= messageLimit) return plain;
  const half = messageLimit / 2;
  return `${plain.slice(0, half)}\n… ${plain.length - messageLimit} characters left out …\n${plain.slice(-half)}`;
}

/** What a command said last, for a message about its end: stderr, or stdout where stderr is empty. */
export async function readLastWords(output: RunOutput): Promise<string> {
  const err = boundMessage(await readText(output, 'err', tailBytes));
  return err || boundMessage(await readText(output, 'out', tailBytes));
}

/** Why a unit has no result, as far as the command's end tells. */
export async function describeEnd(output: RunOutput): Promise<string> {
  const said = await readLastWords(output);
  return `the command ended with exit status ${output.exitCode}${said ? `:\n${said}` : ' and said nothing'}`;
}

/** The error of a listing that gave nothing to read. */
export async function listingFailed(tool: string, output: RunOutput): Promise<CodedError> {
  return new CodedError('test.runner_failed', `${tool} could not list the tests: ${await describeEnd(output)}`, {
    next: 'helix config check',
    details: { exitCode: output.exitCode },
  });
}

/** JSON of unknown origin; `undefined` when it is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
