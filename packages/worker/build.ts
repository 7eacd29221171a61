import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/**
 * Makes the worker's one file, `dist/helix-worker.cjs`, and `dist/helix-worker.json` with its hash, unless they are
 * newer than every source. The hash is of the code before the hash is written into it.
 */
const folder = import.meta.dirname;
const sources = [join(folder, 'src'), join(folder, '..', 'protocol', 'src'), join(folder, 'build.ts')];
const bundleFile = join(folder, 'dist', 'helix-worker.cjs');
const hashFile = join(folder, 'dist', 'helix-worker.json');
const PLACE_OF_HASH = '@agent-hash@';

if (newestOf(sources) > (statSync(hashFile, { throwIfNoEntry: false })?.mtimeMs ?? 0)) {
  // Loaded only now: most calls find everything made.
  const { build } = await import('esbuild');
  // Our messages are in English: the other languages of the schema library are most of its weight.
  const { outputFiles } = await build({
    entryPoints: [join(folder, 'src', 'main.ts')],
    bundle: true,
    write: false,
    platform: 'node',
    target: 'node24',
    format: 'cjs',
    minify: true,
    legalComments: 'none',
    plugins: [
      {
        name: 'english-only',
        setup: (plugin) => void plugin.onLoad({ filter: /[\\/]zod[\\/]v4[\\/]locales[\\/]index\.js$/ }, () => ({ contents: '' })),
      },
    ],
    define: { HELIX_AGENT_HASH: JSON.stringify(PLACE_OF_HASH) },
  });
  const code = outputFiles[0]?.text ?? '';
  const hash = createHash('sha256').update(code).digest('hex').slice(0, 16);
  mkdirSync(dirname(bundleFile), { recursive: true });
  replace(bundleFile, code.replaceAll(PLACE_OF_HASH, hash));
  replace(hashFile, `${JSON.stringify({ hash })}\n`);
}

function newestOf(paths: readonly string[]): number {
  let newestMs = 0;
  for (const path of paths) {
    const stat = statSync(path);
    newestMs = Math.max(newestMs, stat.isDirectory() ? newestOf(readdirSync(path).map((name) => join(path, name))) : stat.mtimeMs);
  }
  return newestMs;
}

function replace(path: string, content: string): void {
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, content);
  renameSync(draft, path);
}
