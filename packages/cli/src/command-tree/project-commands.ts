import { buildCommand, buildRouteMap } from '@stricli/core';
import { text } from './inputs.ts';

export const projects = buildRouteMap({
  routes: {
    add: buildCommand({
      loader: () => import('../commands/projects-add.ts'),
      parameters: {
        flags: {
          name: {
            kind: 'parsed',
            parse: text,
            optional: true,
            placeholder: 'name',
            brief: 'Name of the project; from the source when absent',
          },
        },
        positional: {
          kind: 'tuple',
          parameters: [{ brief: 'Path on the server or a URL that git can read', parse: text, placeholder: 'source', default: '.' }],
        },
      },
      docs: { brief: 'Register a git repository' },
    }),
    list: buildCommand({
      loader: () => import('../commands/projects-list.ts'),
      parameters: {},
      docs: { brief: 'Registered repositories' },
    }),
  },
  docs: { brief: 'Repositories that tasks run in' },
});
