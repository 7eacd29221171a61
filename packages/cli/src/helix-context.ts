import os from 'node:os';
import type { UserPlace } from '@helixcode/protocol/config/config-folders';
import type { CommandContext } from '@stricli/core';
import type { GlobalFlags } from './global-flags.ts';
import type { LiveRegion } from './output/live-region.ts';
import { canUnicode, createStyle, type Style, wantsColor } from './output/style.ts';
import { type Column, renderTable } from './output/table.ts';

/** What a command gets besides its own flags: `this` of every command function. */
export interface HelixContext extends CommandContext {
  readonly flags: GlobalFlags;
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly place: UserPlace;
  readonly out: Output;
  /** Whether a person can be asked: a terminal on both ends, and nobody said `--no-input`. */
  readonly canAsk: boolean;
  /** Aborted when nobody reads stdout any more (`| head -1`). */
  readonly readerGone: AbortSignal;
  /** Runs another command line in place of this one. */
  runAgain(args: readonly string[]): Promise<void>;
  /** Exit status where nothing is thrown. */
  exitStatus: number;
}

/** Data goes to stdout, everything else to stderr. */
export interface Output {
  readonly format: GlobalFlags['format'];
  /** Whether stdout is a terminal, and text is meant for a person. */
  readonly isTty: boolean;
  /** Whether stderr is one: where progress may be drawn. */
  readonly canDraw: boolean;
  readonly style: Style;
  /** Style of what goes to stderr. */
  readonly noteStyle: Style;
  /** Raw bytes or text of the result; resolves when more may be written. */
  write(data: string | Uint8Array): Promise<void>;
  writeError(data: string | Uint8Array): Promise<void>;
  line(text: string): void;
  json(value: unknown): void;
  /** A list in the format that is wanted; `document` is what `--json` prints, by default `{ items }`. */
  list<Row>(rows: readonly Row[], columns: readonly Column<Row>[], options?: { document?: unknown; whenEmpty?: string }): void;
  /** Progress and hints, for people: on stderr. */
  note(text: string): void;
  /** What to do next; only for a person at a terminal. */
  hint(text: string): void;
  /** While a region is drawn at the end of the terminal, notes go above it. */
  region: Pick<LiveRegion, 'print' | 'hide' | 'show'> | undefined;
}

export function createContext(flags: GlobalFlags, readerGone: AbortSignal): Omit<HelixContext, 'runAgain'> {
  const { env, stdout, stderr, stdin } = process;
  return {
    process: { stdout, stderr },
    flags,
    env,
    cwd: process.cwd(),
    place: { env, homeFolder: env.HOME || os.homedir(), isRoot: process.getuid?.() === 0 },
    out: createOutput(flags),
    canAsk: flags.input && flags.format === 'text' && stdin.isTTY === true && stderr.isTTY === true,
    readerGone,
    exitStatus: 0,
  };
}

function createOutput(flags: GlobalFlags): Output {
  const { env, stdout, stderr } = process;
  const unicode = canUnicode(env, process.platform);
  const isTty = stdout.isTTY === true && flags.format === 'text';
  const style = createStyle({ color: flags.color && wantsColor(env, isTty), unicode: unicode || !isTty });
  const noteStyle = createStyle({ color: flags.color && wantsColor(env, stderr.isTTY === true), unicode: unicode || !stderr.isTTY });
  const writeTo = (stream: NodeJS.WriteStream, data: string | Uint8Array): Promise<void> =>
    new Promise((resolve) => {
      // A reader that is gone is told by the stream's own error event; the result is simply not wanted any more.
      stream.write(data, () => resolve());
    });

  const output: Output = {
    format: flags.format,
    isTty,
    canDraw: stderr.isTTY === true && env.TERM !== 'dumb' && flags.format === 'text',
    style,
    noteStyle,
    write: (data) => writeTo(stdout, data),
    writeError: (data) => writeTo(stderr, data),
    line: (text) => void stdout.write(`${text}\n`),
    json: (value) => void stdout.write(`${flags.format === 'json' ? JSON.stringify(value, null, 2) : JSON.stringify(value)}\n`),
    list(rows, columns, { document = { items: rows }, whenEmpty } = {}) {
      if (flags.format === 'json') output.json(document);
      else if (flags.format === 'jsonl') for (const row of rows) output.json(row);
      else if (rows.length > 0) stdout.write(renderTable(rows, columns, { isTty, style }));
      else if (whenEmpty !== undefined) output.note(whenEmpty);
    },
    note(text) {
      // A program that reads JSON reads it on stderr too: there is nothing there but an error.
      if (flags.format !== 'text') return;
      if (output.region) output.region.print(text.split('\n'));
      else stderr.write(`${text}\n`);
    },
    hint(text) {
      if (isTty) output.note(noteStyle.dim(`next: ${text}`));
    },
    region: undefined,
  };
  return output;
}
