import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { cutUnloaded, interpreterOf, isElf64 } from './elf.ts';
import { keyOf, type Part, packPart, replaceFile } from './part.ts';
import type { TarFile } from './tar.ts';

const run = promisify(execFile);
/** Grows when the same Node would be packed differently. */
const PACK_VERSION = 1;

/**
 * Packs this server's own Node for machines of its platform: without what is not loaded, and together with the loader
 * and the libraries it needs, so that a machine runs it whatever C library it has, or none.
 *
 * @param folder where packed parts are kept; of one Node the second call is a look at a file
 */
export async function packRuntime(folder: string, nodePath = process.execPath): Promise<Part> {
  const { size, mtimeMs } = await stat(nodePath);
  const about = createHash('sha256').update(`${PACK_VERSION} ${nodePath} ${size} ${mtimeMs}`).digest('hex').slice(0, 16);
  const noteFile = join(folder, `node-${about}.json`);
  const noted = await readFile(noteFile, 'utf8').then(
    (text) => JSON.parse(text) as Part,
    () => undefined,
  );
  if (noted && (await stat(noted.file).catch(() => undefined))) return noted;

  const files = await runtimeFiles(nodePath);
  const part = await packPart(folder, keyOf('rt', files), files);
  await replaceFile(noteFile, JSON.stringify(part));
  return part;
}

async function runtimeFiles(nodePath: string): Promise<TarFile[]> {
  const whole = await readFile(nodePath);
  if (!isElf64(whole)) throw new Error(`${nodePath} is not a Linux program`);
  const loader = interpreterOf(whole);
  const node: TarFile = { name: 'node', content: await cutIfItRuns(whole), isProgram: true };
  if (loader === undefined) return [node];

  const { stdout } = await run(loader, ['--list', nodePath]);
  const libraries = [...stdout.matchAll(/^\s*(\S+) => (\/\S+) \(0x/gm)].map(([, name, path]) => ({ name: name ?? '', path: path ?? '' }));
  const contents = await Promise.all(
    libraries.map(
      async ({ name, path }): Promise<TarFile> => ({ name: `lib/${basename(name)}`, content: await readFile(path), isProgram: false }),
    ),
  );
  return [node, { name: 'lib/ld.so', content: await readFile(loader), isProgram: true }, ...contents];
}

async function cutIfItRuns(whole: Buffer): Promise<Buffer> {
  const cut = cutUnloaded(whole);
  const folder = await mkdtemp(join(tmpdir(), 'helix-runtime-'));
  try {
    const file = join(folder, 'node');
    await writeFile(file, cut);
    await chmod(file, 0o700);
    const { stdout } = await run(file, ['-p', 'process.version']);
    return stdout.trim() === process.version ? cut : whole;
  } catch {
    return whole;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
