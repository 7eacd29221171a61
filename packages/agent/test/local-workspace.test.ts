import { symlink } from 'node:fs/promises';
import path from 'node:path';
import { givenWorkspace } from './support/local-workspace.ts';
import { workspaceSuite } from './support/workspace-suite.ts';

workspaceSuite('a folder', async (files) => {
  const workspace = await givenWorkspace(files);
  return {
    workspace,
    link: (name, target) => symlink(target, path.join(workspace.root, name)),
    [Symbol.asyncDispose]: () => workspace[Symbol.asyncDispose](),
  };
});
