import { buildCommand, buildRouteMap } from '@stricli/core';
import { text, wholeNumber } from './inputs.ts';

export const up = buildCommand({
  loader: () => import('../commands/up.ts'),
  parameters: {
    flags: {
      foreground: {
        kind: 'boolean',
        optional: true,
        withNegated: false,
        brief: 'Stay in front and write the log here; Ctrl-C stops the server',
      },
      port: { kind: 'parsed', parse: wholeNumber, optional: true, placeholder: 'port', brief: 'Port to listen on; 0 picks a free one' },
    },
  },
  docs: {
    brief: 'Start the server on this machine',
    fullDescription:
      'Starts the server in the background, waits until it answers and prints its URL. One that runs already is left as it is.',
  },
});

export const down = buildCommand({
  loader: () => import('../commands/down.ts'),
  parameters: {
    flags: { workers: { kind: 'boolean', optional: true, withNegated: false, brief: 'Stop the worker daemons of this machine too' } },
  },
  docs: {
    brief: 'Stop the server on this machine',
    fullDescription: 'Jobs on workers go on, and the next server picks up what they did meanwhile.',
  },
});

export const status = buildCommand({
  loader: () => import('../commands/status.ts'),
  parameters: {},
  docs: { brief: 'How the server and its workers stand' },
});

export const gc = buildCommand({
  loader: () => import('../commands/gc.ts'),
  parameters: {
    flags: { dryRun: { kind: 'boolean', optional: true, withNegated: false, brief: 'Only say what would be removed' } },
  },
  docs: {
    brief: 'Remove what is not kept any longer',
    fullDescription:
      'Removes output, checkpoints, events, archives and checkouts beyond the limits of retention in helix.json, on the server and its workers; never of unfinished tasks. The server does the same by itself, every hour.',
  },
});

export const backup = buildCommand({
  loader: () => import('../commands/backup.ts'),
  parameters: {
    positional: { kind: 'tuple', parameters: [{ brief: 'File to write, or a folder to put one into', parse: text, placeholder: 'file' }] },
  },
  docs: {
    brief: 'Copy everything the server keeps into a file',
    fullDescription:
      'The server goes on, and so do its tasks. The file is read back, and its database started on trial, before it is called a backup. It holds the secrets of the server: keep it as you keep those.',
  },
});

export const restore = buildCommand({
  loader: () => import('../commands/restore.ts'),
  parameters: {
    positional: { kind: 'tuple', parameters: [{ brief: 'A file that helix backup has made', parse: text, placeholder: 'file' }] },
    flags: {
      replace: { kind: 'boolean', optional: true, withNegated: false, brief: 'Move aside what the data folder holds; nothing is deleted' },
    },
  },
  docs: {
    brief: 'Make the data folder of a server from a backup',
    fullDescription: 'The server must be stopped. A backup that is damaged or of a newer release is refused, and nothing is changed.',
  },
});

export const events = buildCommand({
  loader: () => import('../commands/events.ts'),
  parameters: {
    flags: {
      topic: {
        kind: 'parsed',
        parse: text,
        default: 'all',
        placeholder: 'topic',
        brief: 'all, tasks, workers, projects, task:<id>, worker:<id> or project:<id>',
      },
      after: {
        kind: 'parsed',
        parse: wholeNumber,
        optional: true,
        placeholder: 'number',
        brief: 'What followed this sequence number, too; 0 for all that is kept',
      },
      follow: { kind: 'boolean', default: true, brief: 'Go on with what happens' },
    },
    aliases: { f: 'follow' },
  },
  docs: { brief: 'What happens, as it happens', customUsage: ['--after 0 --no-follow', '--topic workers --jsonl'] },
});

export const config = buildRouteMap({
  routes: {
    check: buildCommand({
      loader: () => import('../commands/config-check.ts'),
      parameters: {
        positional: {
          kind: 'tuple',
          parameters: [
            { brief: 'File to check; the helix.json of this repository when absent', parse: text, placeholder: 'file', optional: true },
          ],
        },
      },
      docs: { brief: 'Check a helix.json and the environment' },
    }),
    show: buildCommand({
      loader: () => import('../commands/config-show.ts'),
      parameters: {},
      docs: { brief: 'The configuration of the server, and where each value came from' },
    }),
  },
  docs: { brief: 'helix.json and HELIX_… variables' },
});
