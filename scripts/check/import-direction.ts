import { type Import, listImports } from './imports.ts';
import { listTree, repository } from './tree.ts';

/** Which packages a package may import, besides itself. One that is not in the list may not exist. */
const MAY_IMPORT: Record<string, string[]> = {
  protocol: [],
  client: ['protocol'],
  llm: ['protocol'],
  agent: ['llm', 'protocol'],
  worker: ['protocol'],
  server: ['agent', 'llm', 'protocol'],
  cli: ['client', 'protocol'],
};

/** Whose programs a package may start, as processes of their own, without importing their code. */
const MAY_START: Record<string, string[]> = {
  server: ['worker'],
  cli: ['server', 'worker'],
};

/**
 * The subjects of `packages/server/src`, lowest first: each may import those of its own layer and of the layers before it.
 * The lower three know no subject of the product: what they need from one is handed to them.
 */
const SERVER_LAYERS = [
  ['config.ts', 'server-identity.ts'],
  ['db'],
  ['engine', 'events', 'http', 'auth', 'fleet'],
  ['workers'],
  ['projects', 'models', 'receipts'],
  ['tasks'],
  ['merge'],
  ['agents'],
  ['trials'],
  ['retention'],
  ['backup'],
];

/** What speaks of the server as a whole or puts it together: may import every subject, and no subject imports it. */
const SERVER_TOP = ['app.ts', 'loop-delay.ts', 'machines.ts', 'main.ts', 'other-servers.ts', 'server-handlers.ts'];

const thisFile = 'scripts/check/import-direction.ts';

/**
 * Imports go one way: between packages towards `protocol`, inside the server towards `db`.
 *
 * @returns one `file:line: problem` per import that goes another way
 */
export function checkImportDirection(root = repository): string[] {
  return [...unlisted(root), ...listImports(root).flatMap((one) => problemOf(one) ?? [])];
}

/** What is in no list would escape the rules. */
function unlisted(root: string): string[] {
  const files = listTree(root);
  const packages = new Set(files.map((file) => packageOf(file)).filter((name) => name !== undefined));
  const layers = new Set(files.map((file) => layerOf(file)).filter((name) => name !== undefined));
  return [
    ...[...packages]
      .filter((name) => !(name in MAY_IMPORT))
      .map((name) => `packages/${name}:1: say in MAY_IMPORT of ${thisFile} what it may import`),
    ...[...layers]
      .filter((name) => heightOf(name) === -1 && !SERVER_TOP.includes(name))
      .map((name) => `packages/server/src/${name}:1: give it a place in SERVER_LAYERS of ${thisFile}`),
  ];
}

function problemOf({ from, line, name, to, how }: Import): string | undefined {
  const importer = packageOf(from);
  const imported = packageOf(to);
  // Scripts, examples and tests put the packages to use, real ones together: they stand above all of them.
  if (importer === undefined || from.startsWith(`packages/${importer}/test/`) || imported === undefined) return undefined;
  const at = `${from}:${line}:`;
  if (importer !== imported) {
    if (how === 'start')
      return MAY_START[importer]?.includes(imported) ? undefined : `${at} ${importer} may not start a program of ${imported} ('${name}')`;
    if (!MAY_IMPORT[importer]?.includes(imported)) return `${at} ${importer} may not import ${imported} ('${name}')`;
    if (name.startsWith('.')) return `${at} '${name}' leaves the package: import it by its name, @helixcode/${imported}/…`;
    return undefined;
  }
  const layer = layerOf(from);
  const below = layerOf(to);
  if (layer === undefined || below === undefined || layer === below || SERVER_TOP.includes(layer)) return undefined;
  if (SERVER_TOP.includes(below)) return `${at} ${layer} may not import ${below}, which puts the server together`;
  return heightOf(below) <= heightOf(layer) ? undefined : `${at} ${layer} may not import ${below}, which stands above it ('${name}')`;
}

function heightOf(subject: string): number {
  return SERVER_LAYERS.findIndex((layer) => layer.includes(subject));
}

function packageOf(file: string): string | undefined {
  return /^packages\/([^/]+)\//.exec(file)?.[1];
}

/** The folder, or the file beside the folders, of the server's sources that `file` belongs to. */
function layerOf(file: string): string | undefined {
  return /^packages\/server\/src\/([^/]+)/.exec(file)?.[1];
}
