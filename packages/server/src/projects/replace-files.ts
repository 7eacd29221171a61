import { createHash, randomBytes } from 'node:crypto';
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { deflate } from 'node:zlib';
import type { ObjectReader } from './object-reader.ts';

const FILE = '100644';
const PROGRAM = '100755';
const FOLDER = '40000';

/** An entry of a tree object. */
interface TreeEntry {
  mode: string;
  name: Buffer;
  id: Buffer;
}

/** A commit that was made, with what it changed against another one. */
export interface Replaced {
  commit: string;
  /** Of those written, how many were the same in `onto` and in `base`. */
  newlyChanged: number;
}

/**
 * Makes a commit of the files of `onto` with some of them replaced; it stands on what `onto` stands on. The objects are written as git itself would write them,
 * without a git: that is worth a few milliseconds to those who wait for it.
 *
 * Only files that `onto` has can be replaced: of others it is not known here whether git ignores them, nor where a link on the way leads.
 *
 * @param reader of the repository
 * @param base the commit against which changes are counted
 * @returns `undefined` when one of them is not a file of `onto`
 */
export async function replaceFiles(
  gitDir: string,
  reader: ObjectReader,
  change: { onto: string; base: string; writes: readonly { path: string; bytes: Uint8Array }[]; message: string; at: Date },
): Promise<Replaced | undefined> {
  const { onto, base, writes, message, at } = change;
  const bytesOfId = onto.length / 2;
  /** What is made here, by id: written all at once in the end. */
  const made = new Map<string, { type: string; content: Buffer; body: Buffer }>();
  const put = (type: string, body: Buffer): string => {
    const content = Buffer.concat([Buffer.from(`${type} ${body.length}\0`), body]);
    const id = createHash(onto.length === 64 ? 'sha256' : 'sha1')
      .update(content)
      .digest('hex');
    made.set(id, { type, content, body });
    return id;
  };
  const treeOf = async (id: string): Promise<TreeEntry[] | undefined> => {
    const found = made.get(id) ?? (await reader.read(id));
    return found?.type === 'tree' ? parseTree(found.body, bytesOfId) : undefined;
  };
  const fileIn = async (tree: string, parts: readonly string[]): Promise<string | undefined> => {
    let at: string | undefined = tree;
    for (const part of parts) at = at && (await treeOf(at))?.find(({ name }) => name.equals(Buffer.from(part)))?.id.toString('hex');
    return at;
  };

  /** @returns the id of the tree with the file in place, `undefined` where there is no such file */
  async function replaceIn(tree: string, [part = '', ...below]: readonly string[], blob: string): Promise<string | undefined> {
    const entries = await treeOf(tree);
    const entry = entries?.find(({ name }) => name.equals(Buffer.from(part)));
    if (!entries || !entry) return undefined;
    if (below.length === 0 ? entry.mode !== FILE && entry.mode !== PROGRAM : entry.mode !== FOLDER) return undefined;
    const id = below.length === 0 ? blob : await replaceIn(entry.id.toString('hex'), below, blob);
    if (id === undefined) return undefined;
    entry.id = Buffer.from(id, 'hex');
    return put('tree', formatTree(entries));
  }

  const [head, baseHead] = await Promise.all([readHead(reader, onto), readHead(reader, base)]);
  if (!head || !baseHead) return undefined;
  let { tree } = head;
  let newlyChanged = 0;
  for (const { path: name, bytes } of writes) {
    const parts = name.split('/');
    const [before, atBase] = await Promise.all([fileIn(tree, parts), fileIn(baseHead.tree, parts)]);
    const blob = put('blob', Buffer.from(bytes));
    const next = await replaceIn(tree, parts, blob);
    if (next === undefined) return undefined;
    if (before === atBase && blob !== atBase) newlyChanged++;
    tree = next;
  }
  const who = `helix <helix@localhost> ${Math.floor(at.getTime() / 1_000)} +0000`;
  const parent = head.parent === undefined ? '' : `parent ${head.parent}\n`;
  const commit = put('commit', Buffer.from(`tree ${tree}\n${parent}author ${who}\ncommitter ${who}\n\n${message}\n`));
  await Promise.all([...made].map(([id, { content }]) => writeObject(gitDir, id, content)));
  return { commit, newlyChanged };
}

/** What a commit says of its files and of what it stands on. */
export async function readHead(reader: ObjectReader, commit: string): Promise<{ tree: string; parent: string | undefined } | undefined> {
  const found = await reader.read(commit);
  if (found?.type !== 'commit') return undefined;
  const [head = ''] = found.body.toString('latin1').split('\n\n', 1);
  const tree = /^tree ([0-9a-f]+)$/m.exec(head)?.[1];
  return tree === undefined ? undefined : { tree, parent: /^parent ([0-9a-f]+)$/m.exec(head)?.[1] };
}

function parseTree(body: Buffer, bytesOfId: number): TreeEntry[] {
  const entries: TreeEntry[] = [];
  for (let at = 0; at < body.length; ) {
    const blank = body.indexOf(32, at);
    const zero = body.indexOf(0, blank);
    const end = zero + 1 + bytesOfId;
    entries.push({ mode: body.subarray(at, blank).toString(), name: body.subarray(blank + 1, zero), id: body.subarray(zero + 1, end) });
    at = end;
  }
  return entries;
}

function formatTree(entries: readonly TreeEntry[]): Buffer {
  return Buffer.concat(entries.flatMap(({ mode, name, id }) => [Buffer.from(`${mode} `), name, Buffer.from([0]), id]));
}

/** Writes an object where git keeps those that are in no pack, whole or not at all. */
async function writeObject(gitDir: string, id: string, content: Buffer): Promise<void> {
  const folder = path.join(gitDir, 'objects', id.slice(0, 2));
  const file = path.join(folder, id.slice(2));
  if (await stat(file).catch(() => undefined)) return;
  await mkdir(folder, { recursive: true });
  const unfinished = path.join(folder, `tmp_obj_${randomBytes(6).toString('hex')}`);
  try {
    const handle = await open(unfinished, 'wx', 0o444);
    try {
      await handle.writeFile(await promisify(deflate)(content, { level: 1 }));
      // The books will count on it.
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(unfinished, file);
  } catch (error) {
    await rm(unfinished, { force: true });
    throw error;
  }
}
