import { buildCommand, buildRouteMap } from '@stricli/core';
import { duration, text, wholeNumber, worker } from './inputs.ts';

const oneWorker = { positional: { kind: 'tuple', parameters: [worker] } } as const;

const workersAdd = buildCommand({
  loader: () => import('../commands/workers-add.ts'),
  parameters: {
    flags: {
      local: {
        kind: 'parsed',
        parse: text,
        optional: true,
        placeholder: 'name',
        brief: 'One more worker on the machine of the server, by this name',
      },
      name: { kind: 'parsed', parse: text, optional: true, placeholder: 'name', brief: 'Name of the worker; the host when absent' },
      identity: { kind: 'parsed', parse: text, optional: true, placeholder: 'file', brief: 'Private key file, on the server' },
      passwordStdin: { kind: 'boolean', optional: true, withNegated: false, brief: 'Read a password from stdin; it is kept encrypted' },
      acceptFingerprint: {
        kind: 'parsed',
        parse: text,
        optional: true,
        placeholder: 'SHA256:…',
        brief: 'Fingerprint of the host key, where you know it beforehand',
      },
      slots: {
        kind: 'parsed',
        parse: wholeNumber,
        optional: true,
        placeholder: 'number',
        brief: 'Jobs at once; its number of cores when absent',
      },
      label: {
        kind: 'parsed',
        parse: text,
        variadic: ',',
        optional: true,
        placeholder: 'labels',
        brief: 'Capabilities you vouch for, beside the detected ones',
      },
      wait: duration('Wait for so long at most until it is up; then exit 6'),
      detach: { kind: 'boolean', optional: true, withNegated: false, brief: 'Do not wait until it is up' },
    },
    positional: {
      kind: 'tuple',
      parameters: [
        { brief: 'user@host, user@host:port, or a Host of the ssh configuration', parse: text, placeholder: 'address', optional: true },
      ],
    },
  },
  docs: {
    brief: 'Make a machine a worker',
    fullDescription: 'Needs nothing on the machine but an account that ssh can log in to. Follows until the worker is up or needs you.',
    customUsage: ['ada@build-1', 'ada@10.0.0.7:2222 --slots 8 --label gpu', '--local second'],
  },
});

const workersEnrol = buildCommand({
  loader: () => import('../commands/workers-enrol.ts'),
  parameters: {
    flags: {
      slots: {
        kind: 'parsed',
        parse: wholeNumber,
        optional: true,
        placeholder: 'number',
        brief: 'Jobs at once; its number of cores when absent',
      },
      label: {
        kind: 'parsed',
        parse: text,
        variadic: ',',
        optional: true,
        placeholder: 'labels',
        brief: 'Capabilities you vouch for, beside the detected ones',
      },
      validMinutes: {
        kind: 'parsed',
        parse: wholeNumber,
        optional: true,
        placeholder: 'minutes',
        brief: 'How long the token may be used; a day when absent',
      },
    },
    positional: { kind: 'tuple', parameters: [{ brief: 'Name of the worker', parse: text, placeholder: 'name' }] },
  },
  docs: {
    brief: 'Let a machine join by itself that the server cannot reach',
    fullDescription:
      'Prints the enrolment token, good for one machine, once. For a worker that dials in already, the next machine takes its place.',
    customUsage: ['laptop', 'build-2 --slots 4 --label gpu --valid-minutes 30'],
  },
});

const workersAcceptKey = buildCommand({
  loader: () => import('../commands/workers-accept-key.ts'),
  parameters: {
    positional: {
      kind: 'tuple',
      parameters: [
        worker,
        {
          brief: 'The key to trust; may be left out when the worker showed one only and you confirm it',
          parse: text,
          placeholder: 'SHA256:…',
          optional: true,
        },
      ],
    },
  },
  docs: { brief: 'Trust the host key that a worker showed' },
});

const workersReconnect = buildCommand({
  loader: () => import('../commands/workers-reconnect.ts'),
  parameters: {
    ...oneWorker,
    flags: {
      passwordStdin: { kind: 'boolean', optional: true, withNegated: false, brief: 'Read a new password from stdin' },
      wait: duration('Wait for so long at most until it is up; then exit 6'),
      detach: { kind: 'boolean', optional: true, withNegated: false, brief: 'Do not wait until it is up' },
    },
  },
  docs: { brief: 'Dial a blocked or lost worker now' },
});

const workersRemove = buildCommand({
  loader: () => import('../commands/workers-remove.ts'),
  parameters: {
    ...oneWorker,
    flags: {
      force: { kind: 'boolean', optional: true, withNegated: false, brief: 'Even with jobs running or out of reach' },
      yes: { kind: 'boolean', optional: true, withNegated: false, brief: 'Do not ask' },
    },
  },
  docs: { brief: 'Remove a worker and what was installed on it' },
});

export const workers = buildRouteMap({
  routes: {
    add: workersAdd,
    list: buildCommand({ loader: () => import('../commands/workers-list.ts'), parameters: {}, docs: { brief: 'All workers' } }),
    show: buildCommand({
      loader: () => import('../commands/workers-show.ts'),
      parameters: oneWorker,
      docs: { brief: 'One worker, and how its connection went' },
    }),
    enrol: workersEnrol,
    acceptKey: workersAcceptKey,
    drain: buildCommand({
      loader: () => import('../commands/workers-drain.ts'),
      parameters: oneWorker,
      docs: { brief: 'Give it no new work; what runs there ends normally' },
    }),
    open: buildCommand({
      loader: () => import('../commands/workers-open.ts'),
      parameters: oneWorker,
      docs: { brief: 'Give it work again' },
    }),
    reconnect: workersReconnect,
    remove: workersRemove,
  },
  docs: { brief: 'The machines that do the work' },
});

export const thisWorker = buildRouteMap({
  routes: {
    join: buildCommand({
      loader: () => import('../commands/worker-join.ts'),
      parameters: {
        flags: {
          tokenStdin: { kind: 'boolean', optional: true, withNegated: false, brief: 'Read the enrolment token from stdin' },
          label: {
            kind: 'parsed',
            parse: text,
            variadic: ',',
            optional: true,
            placeholder: 'labels',
            brief: 'Capabilities you vouch for, in place of those the server has',
          },
          folder: {
            kind: 'parsed',
            parse: text,
            optional: true,
            placeholder: 'folder',
            brief: 'Where its files go; ~/.helix-worker when absent',
          },
        },
        positional: {
          kind: 'tuple',
          parameters: [
            { brief: 'Where the server is found; HELIX_SERVER_URL when absent', parse: text, placeholder: 'url', optional: true },
          ],
        },
      },
      docs: {
        brief: 'Make this machine a worker of a server that cannot reach it',
        fullDescription: [
          'Dials the server and keeps the link, until the server removes the worker. Needs an enrolment token the first time',
          '(`helix workers enrol`): on stdin, in HELIX_ENROL_TOKEN, or in the file that HELIX_ENROL_TOKEN_FILE names.',
        ].join('\n'),
        customUsage: ['https://helix.example.org --token-stdin', 'https://helix.example.org --label gpu'],
      },
    }),
  },
  docs: { brief: 'This machine as a worker' },
});
