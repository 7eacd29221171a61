import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bootId } from '../home/boot-id.ts';
import { readIfThere } from '../home/write-file.ts';
import { startTimeOf } from './process-table.ts';
import { shellWord } from './shim.ts';

export interface ShimStart {
  pid: number;
  startTime: string;
  boot: string;
  atMs: number;
}

export interface ShimExit {
  exitCode: number;
  cpuMs: number;
  atMs: number;
}

/** Within this time a supervisor has written its line, or it never will. */
const START_LINE_MS = 3_000;
const ARGUMENT_LIMIT_BYTES = 100_000;

/** @returns `undefined` until the command began; `unreadable` where the line is not written yet, or was cut off by a crash */
export function readShimStart(folder: string): ShimStart | 'unreadable' | undefined {
  const text = readIfThere(join(folder, 'start'));
  if (text === undefined) return undefined;
  const match = /^(\d+) (\S+) (\S+)\n$/.exec(text);
  if (!match) return 'unreadable';
  const [, pid, startTime = '', boot = ''] = match;
  return { pid: Number(pid), startTime, boot, atMs: statSync(join(folder, 'start')).mtimeMs };
}

/**
 * When the command began, in milliseconds since the epoch. The file is there a moment before its line is: a look that falls
 * between the two knows the time as well.
 */
export function begunAtMs(start: ShimStart | 'unreadable', folder: string): number {
  return start === 'unreadable' ? statSync(join(folder, 'start')).mtimeMs : start.atMs;
}

/** @returns `undefined` until the command has ended */
export function readShimExit(folder: string): ShimExit | undefined {
  const text = readIfThere(join(folder, 'rc'));
  const exitCode = /^rc (\d+)\n/m.exec(text ?? '')?.[1];
  if (text === undefined || exitCode === undefined) return undefined;
  // The second line of `times`: user and system time of the children.
  const children = text.split('\n')[1] ?? '';
  let cpuMs = 0;
  for (const [, minutes, seconds] of children.matchAll(/(\d+)m([\d.,]+)s/g))
    cpuMs += Number(minutes) * 60_000 + Number(seconds?.replace(',', '.')) * 1000;
  return { exitCode: Number(exitCode), cpuMs: Math.round(cpuMs), atMs: statSync(join(folder, 'rc')).mtimeMs };
}

/** @returns whether the supervisor still lives, so that it will record how the command ends */
export function isShimAlive(start: ShimStart | 'unreadable', folder: string): boolean {
  if (start === 'unreadable') return Date.now() - begunAtMs(start, folder) < START_LINE_MS;
  if (start.boot !== bootId()) return false;
  const startTime = startTimeOf(start.pid);
  return startTime !== undefined && (start.startTime === '-' || start.startTime === startTime);
}

/** @returns what to hand to `sh -c`: a long command goes through a file, since one argument may have 128 KiB */
export function commandWord(folder: string, command: string): string {
  if (Buffer.byteLength(command) < ARGUMENT_LIMIT_BYTES) return command;
  writeFileSync(join(folder, 'command'), command, { mode: 0o600 });
  return `. ${shellWord(join(folder, 'command'))}`;
}
