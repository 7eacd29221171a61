import { z } from 'zod';
import type { ErrorFact } from '../errors.ts';

/** The longest piece of a request or an answer that is put into one frame, in characters. */
export const WORKSPACE_PIECE_CHARACTERS = 256 * 1024;
/** A request or an answer that is longer than all its pieces together may be is a fault of the sender. */
export const WORKSPACE_TEXT_CHARACTERS = 64 * 1024 * 1024;
/** What of a matching line is brought back. */
export const MATCH_CHARACTERS = 2_000;

const count = z.number().int().nonnegative();
/** Relative to the root of the workspace; `''` is the root itself. */
const path = z.string();
/** SHA-256 of a file's bytes in hex, or `absent`. */
const expected = z.string();
/** Made by the server; the same for the same command, however often it is asked for. */
const id = z.string().min(1).max(200);

/** What can be asked for in the checkout of a running job. Bytes are base64. */
export const workspaceOp = z.discriminatedUnion('do', [
  z.object({ do: z.literal('locate') }),
  z.object({ do: z.literal('read'), path, maxBytes: count }),
  /** Succeeds too where the file has this content already, whatever was expected. */
  z.object({ do: z.literal('write'), path, bytes: z.string(), expected }),
  z.object({ do: z.literal('remove'), path, expected }),
  z.object({ do: z.literal('list'), folder: path, depth: count, maxEntries: count }),
  z.object({
    do: z.literal('search'),
    pattern: z.string(),
    path,
    glob: z.string().optional(),
    ignoreCase: z.boolean(),
    maxMatches: count,
  }),
  z.object({ do: z.literal('tree_hash') }),
  /** Runs the command if none with this id has begun, and answers when it is over. */
  z.object({
    do: z.literal('run'),
    id,
    command: z.string(),
    folder: path,
    timeoutMs: z.number().int().positive(),
    headBytes: count,
    tailBytes: count,
    maxOutputBytes: count,
  }),
  z.object({ do: z.literal('outcome'), id }),
  /** Ends a command and all it started; answers when nothing of it runs. */
  z.object({ do: z.literal('stop'), id }),
]);
export type WorkspaceOp = z.infer<typeof workspaceOp>;
export type CommandRequest = Omit<Extract<WorkspaceOp, { do: 'run' }>, 'do' | 'id'>;

const commandResult = z.object({
  ending: z.enum(['exited', 'signalled', 'timed_out', 'output_limit']),
  /** Of a command that exited. */
  exitCode: z.number().int().optional(),
  /** Of one that was ended by a signal. */
  signal: z.string().optional(),
  output: z.object({ head: z.string(), tail: z.string(), totalBytes: count, file: z.string() }),
});
export type CommandResult = z.infer<typeof commandResult>;

const commandOutcome = z.discriminatedUnion('state', [
  z.object({ state: z.literal('finished'), result: commandResult }),
  z.object({ state: z.literal('running') }),
  z.object({ state: z.literal('never_begun') }),
  /** It began, and how it ended was not recorded. */
  z.object({ state: z.literal('unknown'), reason: z.string() }),
]);

/** What each op answers. */
export const workspaceAnswers = {
  locate: z.object({ root: z.string() }),
  read: z.object({ bytes: z.string(), hash: z.string() }),
  write: z.object({ hash: z.string() }),
  remove: z.object({}),
  list: z.object({
    entries: z.array(z.object({ path, kind: z.enum(['file', 'folder', 'link', 'other']), bytes: count.optional() })),
    leftOut: count,
    isCounted: z.boolean(),
  }),
  search: z.object({ matches: z.array(z.object({ path, line: count, text: z.string() })), isCut: z.boolean() }),
  tree_hash: z.object({ hash: z.string() }),
  run: commandResult,
  outcome: commandOutcome,
  stop: z.object({}),
} satisfies Record<WorkspaceOp['do'], z.ZodType>;
export type WorkspaceAnswers = { [Do in WorkspaceOp['do']]: z.infer<(typeof workspaceAnswers)[Do]> };

export type WorkspaceReply = { answer: WorkspaceAnswers[WorkspaceOp['do']] } | { failure: ErrorFact };

/** Cuts a request or an answer into what its frames carry. */
export function* workspacePieces(text: string): Generator<{ text: string; isLast: boolean }> {
  for (let at = 0; at === 0 || at < text.length; at += WORKSPACE_PIECE_CHARACTERS)
    yield { text: text.slice(at, at + WORKSPACE_PIECE_CHARACTERS), isLast: at + WORKSPACE_PIECE_CHARACTERS >= text.length };
}
