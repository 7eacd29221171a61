import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';
import type { Client } from '@helixcode/client/http-client';
import type { ProjectView } from '@helixcode/protocol/api/views';
import { CodedError } from '@helixcode/protocol/errors';
import { gitText } from './git.ts';

/**
 * The server's project of a repository, registered when it is met for the first time. Its id is remembered in the file
 * `helix-project` of the git folder. A repository with a URL as its origin has the name of the URL, and shares the project with
 * its other clones; one without has the name of its folder.
 */
export async function findOrAddProject(client: Client, root: string): Promise<ProjectView> {
  const note = path.resolve(root, await gitText(['rev-parse', '--git-common-dir'], { cwd: root }), 'helix-project');
  const remembered = (await readFile(note, 'utf8').catch(() => '')).trim();
  const known = remembered === '' ? undefined : await findProject(client, remembered);
  if (known) return known;
  const project = await addProject(client, root);
  await writeFile(note, `${project.id}\n`);
  return project;
}

async function addProject(client: Client, root: string): Promise<ProjectView> {
  const origin = await gitText(['config', '--get', 'remote.origin.url'], { cwd: root }).catch(() => undefined);
  const shared = origin === undefined ? undefined : nameOfOrigin(origin);
  if (shared !== undefined) return (await findProject(client, shared)) ?? (await addOrFind(client, shared));
  const name = cleanName(path.basename(root));
  try {
    return await client.call('projects.add', { body: { name } });
  } catch (error) {
    if (!(error instanceof CodedError) || error.code !== 'project.exists') throw error;
    // Another folder of the same name; where it lies tells them apart, today and next time.
    const place = createHash('sha256').update(`${hostname()}\0${root}`).digest('hex').slice(0, 8);
    return addOrFind(client, `${name.slice(0, 90)}-${place}`);
  }
}

async function findProject(client: Client, project: string): Promise<ProjectView | undefined> {
  try {
    return await client.call('projects.get', { params: { project } });
  } catch (error) {
    if (error instanceof CodedError && error.code === 'project.not_found') return undefined;
    throw error;
  }
}

async function addOrFind(client: Client, name: string): Promise<ProjectView> {
  try {
    return await client.call('projects.add', { body: { name } });
  } catch (error) {
    if (!(error instanceof CodedError) || error.code !== 'project.exists') throw error;
    return client.call('projects.get', { params: { project: name } });
  }
}

/** `git@example.org:team/web.git`, `https://ada@example.org/team/web` → `example.org/team/web`; of a path `undefined`. */
export function nameOfOrigin(origin: string): string | undefined {
  const [, host, place] =
    /^[a-z][a-z0-9+.-]*:\/\/(?:[^@/]*@)?([^/:]+)(?::\d+)?\/(.+)$/i.exec(origin) ?? /^(?:[^@/]*@)?([^/:]+):(.+)$/.exec(origin) ?? [];
  if (host === undefined || place === undefined) return undefined;
  return cleanName(
    `${host.toLowerCase()}/${place
      .replace(/\/+$/, '')
      .replace(/\.git$/, '')
      .replace(/^\/+/, '')}`,
  );
}

/** What the server takes as a name: letters, digits and `._/-`, the first a letter or digit, at most 100. */
function cleanName(name: string): string {
  const clean = name
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .replace(/[^A-Za-z0-9._/-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '');
  return clean.slice(0, 100) || 'project';
}
