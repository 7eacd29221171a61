import type { MergeConflict } from '@helixcode/protocol/merge/merge-view';
import { type Git, GitError } from '../projects/git.ts';

/** Paths that are listed; an agent that has to read more than this starts over. */
const MAX_PATHS = 50;
/** Of the text of one path, and of all together: what fits into an answer to a model. */
const MAX_PATH_TEXT = 6_000;
const MAX_TEXT = 30_000;
/** A larger file is named, but not read. */
const MAX_FILE_BYTES = 4 * 1024 * 1024;
/** Lines shown around a place that differs. */
const CONTEXT_LINES = 3;

/** What people read in place of hashes. */
const SIDES = { onto: 'merged so far', base: 'before both', commit: 'this change' };

interface Stages {
  /** Blobs by stage: 1 before both, 2 merged so far, 3 this change. */
  blobs: Map<number, string>;
}

/**
 * Reads what `git merge-tree -z --messages` printed of a merge that did not succeed.
 *
 * @see git-merge-tree(1), "Output": the tree, the unmerged files as `mode object stage path`, an empty field, then messages as
 *   number of paths, paths, kind, text
 */
export async function readConflicts(
  git: Git,
  gitDir: string,
  output: string,
  merged: { onto: string; commit: string },
): Promise<{ conflicts: MergeConflict[]; more: number }> {
  const fields = output.split('\0');
  const tree = fields.shift() ?? '';
  const stages = new Map<string, Stages>();
  for (let field = fields.shift(); field !== undefined && field !== ''; field = fields.shift()) {
    const [, mode, object = '', stage, path = ''] = /^(\d+) ([0-9a-f]+) ([123])\t(.*)$/s.exec(field) ?? [];
    if (stage === undefined) continue;
    const known = stages.get(path) ?? { blobs: new Map() };
    // Of a submodule there is no blob.
    if (mode !== '160000') known.blobs.set(Number(stage), object);
    stages.set(path, known);
  }
  const told = new Map<string, { kind: string; message: string }>();
  for (let count = fields.shift(); count !== undefined && count !== ''; count = fields.shift()) {
    const paths = fields.splice(0, Number(count));
    const [type = '', message = ''] = fields.splice(0, 2);
    const kind = /^CONFLICT \((.*)\)$/.exec(type)?.[1];
    const [path] = paths;
    // A binary file is told of twice, first by what it is.
    if (kind !== undefined && path !== undefined && !told.has(path)) told.set(path, { kind, message: named(message.trim(), merged) });
  }

  const paths = [...new Set([...told.keys(), ...stages.keys()])].sort();
  const conflicts: MergeConflict[] = [];
  let textLeft = MAX_TEXT;
  for (const path of paths.slice(0, MAX_PATHS)) {
    const { kind, message } = told.get(path) ?? { kind: 'contents', message: `${path} differs` };
    const whole = kind === 'binary' ? undefined : await textOf(git, gitDir, tree, path, stages.get(path), merged);
    // A cut may go through the two halves of one character, which the database refuses.
    const text = whole?.slice(0, Math.min(MAX_PATH_TEXT, textLeft)).toWellFormed();
    textLeft -= text?.length ?? 0;
    conflicts.push({ path, kind, message, ...(text && { text }), isCut: whole !== undefined && whole.length > (text?.length ?? 0) });
  }
  return { conflicts, more: Math.max(0, paths.length - MAX_PATHS) };
}

async function textOf(
  git: Git,
  gitDir: string,
  tree: string,
  path: string,
  stages: Stages | undefined,
  merged: { onto: string; commit: string },
): Promise<string | undefined> {
  const [base, onto, commit] = [1, 2, 3].map((stage) => stages?.blobs.get(stage));
  try {
    // One side took it away: what matters is what the other one did to it.
    if (base !== undefined && (onto === undefined) !== (commit === undefined)) {
      const left = onto ?? commit ?? '';
      if (left === base) return undefined;
      const diff = await git.text([`--git-dir=${gitDir}`, 'diff', '--no-color', '--no-ext-diff', '--no-textconv', base, left]);
      const hunks = diff.slice(Math.max(0, diff.indexOf('\n@@') + 1));
      return hunks.startsWith('@@') ? `changed by ${onto === undefined ? SIDES.commit : SIDES.onto}:\n${hunks}` : undefined;
    }
    const file = `${tree}:${path}`;
    if (Number(await git.text([`--git-dir=${gitDir}`, 'cat-file', '-s', file])) > MAX_FILE_BYTES) return undefined;
    const content = await git.run([`--git-dir=${gitDir}`, 'cat-file', 'blob', file]);
    return content.includes(0) ? undefined : placesThatDiffer(content.toString(), merged);
  } catch (error) {
    // It stands under another name in the tree, or is no file there: what the message says is all there is.
    if (error instanceof GitError) return undefined;
    throw error;
  }
}

/** The places between git's markers, with their line numbers and some lines around. */
function placesThatDiffer(content: string, { onto, commit }: { onto: string; commit: string }): string | undefined {
  const lines = content.split('\n');
  const shown: string[] = [];
  let shownUpTo = 0;
  for (let begin = 0; begin < lines.length; begin++) {
    if (!lines[begin]?.startsWith(`<<<<<<< ${onto}`)) continue;
    const end = lines.findIndex((line, index) => index > begin && line.startsWith(`>>>>>>> ${commit}`));
    if (end === -1) break;
    const from = Math.max(shownUpTo, begin - CONTEXT_LINES);
    const to = Math.min(lines.length, end + 1 + CONTEXT_LINES);
    if (from > shownUpTo || shown.length === 0) shown.push(`line ${from + 1}:`);
    for (const line of lines.slice(from, to)) {
      if (line.startsWith(`<<<<<<< ${onto}`)) shown.push(`<<<<<<< ${SIDES.onto}`);
      else if (line.startsWith('||||||| ')) shown.push(`||||||| ${SIDES.base}`);
      else if (line.startsWith(`>>>>>>> ${commit}`)) shown.push(`>>>>>>> ${SIDES.commit}`);
      else shown.push(line);
    }
    shownUpTo = to;
    begin = end;
  }
  return shown.length === 0 ? undefined : shown.join('\n');
}

function named(message: string, { onto, commit }: { onto: string; commit: string }): string {
  return message.replaceAll(onto, SIDES.onto).replaceAll(commit, SIDES.commit);
}
