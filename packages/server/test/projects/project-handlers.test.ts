import { Readable } from 'node:stream';
import type { UserId } from '@helixcode/protocol/ids';
import { createMirrors } from '@helixcode/server/projects/mirror';
import { createProjectHandlers } from '@helixcode/server/projects/project-handlers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { givenDatabase, type TestDatabase } from '../support/database.ts';
import { givenFolder, givenRepository } from './repository.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await givenDatabase();
});
afterAll(() => database.drop());

function givenHandlers() {
  const mirrors = createMirrors(givenFolder());
  const handlers = createProjectHandlers({ db: database.db, mirrors, wakeEvents: () => {}, snapshotKeepMs: 30 * 86_400_000 });
  const call = { user: 'usr_1' as UserId, signal: new AbortController().signal, lastEventId: undefined };
  return {
    mirrors,
    list: async () => (await handlers['projects.list']({ ...call, params: {}, query: undefined, body: undefined })).items,
    add: (name: string, source?: string) =>
      handlers['projects.add']({ ...call, params: {}, query: undefined, body: { name, ...(source !== undefined && { source }) } }),
    get: (project: string) => handlers['projects.get']({ ...call, params: { project }, query: undefined, body: undefined }),
    fetch: (project: string) => handlers['projects.fetch']({ ...call, params: { project }, query: undefined, body: undefined }),
    tips: async (project: string) =>
      (await handlers['projects.tips']({ ...call, params: { project }, query: undefined, body: undefined })).commits,
    snapshot: (project: string, commit: string, bundle: Buffer) =>
      handlers['projects.snapshot']({ ...call, params: { project }, query: { commit }, body: Readable.from([bundle]) }),
  };
}

test('a project is registered from a repository, found by id and by name, and brought up to date', async () => {
  const api = givenHandlers();
  const source = givenRepository();
  source.commit({ 'a.txt': 'a' });
  const added = await api.add('team/web', source.folder);
  expect(added).toMatchObject({ name: 'team/web', source: source.folder, defaultBranch: 'main' });
  expect(await api.get('team/web')).toEqual(added);
  expect(await api.get(added.id)).toEqual(added);
  expect(await api.list()).toContainEqual(added);

  const commit = source.commit({ 'a.txt': 'b' });
  expect(await api.fetch('team/web')).toEqual({ commit });
  expect(await api.tips('team/web')).toContain(commit);
});

test('a project without a source takes its code from snapshots', async () => {
  const api = givenHandlers();
  const repository = givenRepository();
  const commit = repository.commit({ 'a.txt': 'a' });
  const { id } = await api.add('local');
  expect(await api.tips(id)).toEqual([]);
  expect(await api.snapshot(id, commit, repository.bundle('main'))).toEqual({ commit });
  expect(await api.tips(id)).toEqual([commit]);
  await expect(api.fetch('local')).rejects.toMatchObject({ code: 'project.source_unreadable', next: 'helix test' });
});

test('a name is given once, and an unreadable source registers nothing', async () => {
  const api = givenHandlers();
  await api.add('taken');
  await expect(api.add('taken')).rejects.toMatchObject({ code: 'project.exists' });
  await expect(api.add('unreadable', '/nowhere/at/all')).rejects.toMatchObject({ code: 'project.source_unreadable' });
  await expect(api.get('unreadable')).rejects.toMatchObject({ code: 'project.not_found', message: 'there is no project unreadable' });
});
