import {
  type Application, buildApplication, buildCommand, buildRouteMap, formatMessageForArgumentScannerError, help, numberParser, text_en, version,
} from '@stricli/core';
import packageJson from '../package.json' with { type: 'json' };
import { GLOBAL_FLAGS } from './global-flags.ts';
import type { HelixContext } from './helix-context.ts';

export interface Thrown {
  error: unknown;
}

export interface AppOptions {
  color: boolean;
  /** Told what a command failed with. */
  onThrow: (thrown: Thrown) => void;
}

const text = (input: string): string => input;

const wholeNumber = (input: string): number => {
  const number = numberParser(input);
  if (!Number.isInteger(number) || number < 0) throw new Error(`${input} is not a whole number`);
  return number;
};

const seconds = (input: string): number => {
  const number = numberParser(input);
  if (!(number > 0)) throw new Error(`${input} is not a number of seconds`);
  return number;
};

const worker = { brief: 'Name or id of a worker', parse: text, placeholder: 'worker' } as const;
const task = { brief: 'Id of a task', parse: text, placeholder: 'task' } as const;

/** Where a task may run and how long it is followed: shared by all that hand one in. */
const submitting = {
  on: { kind: 'parsed', parse: text, optional: true, placeholder: 'worker', brief: 'Only on this worker' },
  requires: { kind: 'parsed', parse: text, variadic: ',', optional: true, placeholder: 'labels', brief: 'Capabilities the worker must have, e.g. gpu,linux' },
  priority: { kind: 'parsed', parse: numberParser, optional: true, placeholder: 'number', brief: 'From -100 to 100; higher goes first' },
  wait: { kind: 'parsed', parse: seconds, optional: true, placeholder: 'seconds', brief: 'Follow for so long at most; then exit 6, and the task goes on' },
  detach: { kind: 'boolean', optional: true, withNegated: false, brief: 'Do not follow: print the id of the task' },
} as const;

const up = buildCommand({
  loader: () => import('./commands/up.ts'),
  parameters: {
    flags: {
      foreground: { kind: 'boolean', optional: true, withNegated: false, brief: 'Stay in front and write the log here; Ctrl-C stops the server' },
      port: { kind: 'parsed', parse: wholeNumber, optional: true, placeholder: 'port', brief: 'Port to listen on; 0 picks a free one' },
    },
  },
  docs: {
    brief: 'Start the server on this machine',
    fullDescription: 'Starts the server in the background, waits until it answers and prints its URL. One that runs already is left as it is.',
  },
});

const down = buildCommand({
  loader: () => import('./commands/down.ts'),
  parameters: { flags: { workers: { kind: 'boolean', optional: true, withNegated: false, brief: 'Stop the worker daemons of this machine too' } } },
  docs: {
    brief: 'Stop the server on this machine',
    fullDescription: 'Jobs on workers go on, and the next server picks up what they did meanwhile.',
  },
});

const status = buildCommand({
  loader: () => import('./commands/status.ts'),
  parameters: {},
  docs: { brief: 'How the server and its workers stand' },
});

const workersAdd = buildCommand({
  loader: () => import('./commands/workers-add.ts'),
  parameters: {
    flags: {
      local: { kind: 'parsed', parse: text, optional: true, placeholder: 'name', brief: 'One more worker on the machine of the server, by this name' },
      name: { kind: 'parsed', parse: text, optional: true, placeholder: 'name', brief: 'Name of the worker; the host when absent' },
      identity: { kind: 'parsed', parse: text, optional: true, placeholder: 'file', brief: 'Private key file, on the server' },
      passwordStdin: { kind: 'boolean', optional: true, withNegated: false, brief: 'Read a password from stdin; it is kept encrypted' },
      acceptFingerprint: { kind: 'parsed', parse: text, optional: true, placeholder: 'SHA256:…', brief: 'Fingerprint of the host key, where you know it beforehand' },
      slots: { kind: 'parsed', parse: wholeNumber, optional: true, placeholder: 'number', brief: 'Jobs at once; its number of cores when absent' },
      label: { kind: 'parsed', parse: text, variadic: ',', optional: true, placeholder: 'labels', brief: 'Capabilities you vouch for, beside the detected ones' },
      wait: { kind: 'parsed', parse: seconds, optional: true, placeholder: 'seconds', brief: 'Wait for so long at most until it is up; then exit 6' },
      detach: { kind: 'boolean', optional: true, withNegated: false, brief: 'Do not wait until it is up' },
    },
    positional: {
      kind: 'tuple',
      parameters: [{ brief: 'user@host, user@host:port, or a Host of the ssh configuration', parse: text, placeholder: 'address', optional: true }],
    },
  },
  docs: {
    brief: 'Make a machine a worker',
    fullDescription: 'Needs nothing on the machine but an account that ssh can log in to. Follows until the worker is up or needs you.',
    customUsage: ['ada@build-1', 'ada@10.0.0.7:2222 --slots 8 --label gpu', '--local second'],
  },
});

const workersAcceptKey = buildCommand({
  loader: () => import('./commands/workers-accept-key.ts'),
  parameters: {
    positional: {
      kind: 'tuple',
      parameters: [worker, { brief: 'The key to trust; may be left out when the worker showed one only and you confirm it', parse: text, placeholder: 'SHA256:…', optional: true }],
    },
  },
  docs: { brief: 'Trust the host key that a worker showed' },
});

const oneWorker = { positional: { kind: 'tuple', parameters: [worker] } } as const;

const workersReconnect = buildCommand({
  loader: () => import('./commands/workers-reconnect.ts'),
  parameters: {
    ...oneWorker,
    flags: {
      passwordStdin: { kind: 'boolean', optional: true, withNegated: false, brief: 'Read a new password from stdin' },
      wait: { kind: 'parsed', parse: seconds, optional: true, placeholder: 'seconds', brief: 'Wait for so long at most until it is up; then exit 6' },
      detach: { kind: 'boolean', optional: true, withNegated: false, brief: 'Do not wait until it is up' },
    },
  },
  docs: { brief: 'Dial a blocked or lost worker now' },
});

const workersRemove = buildCommand({
  loader: () => import('./commands/workers-remove.ts'),
  parameters: {
    ...oneWorker,
    flags: {
      force: { kind: 'boolean', optional: true, withNegated: false, brief: 'Even with jobs running or out of reach' },
      yes: { kind: 'boolean', optional: true, withNegated: false, brief: 'Do not ask' },
    },
  },
  docs: { brief: 'Remove a worker and what was installed on it' },
});

const workers = buildRouteMap({
  routes: {
    add: workersAdd,
    list: buildCommand({ loader: () => import('./commands/workers-list.ts'), parameters: {}, docs: { brief: 'All workers' } }),
    show: buildCommand({ loader: () => import('./commands/workers-show.ts'), parameters: oneWorker, docs: { brief: 'One worker, and how its connection went' } }),
    acceptKey: workersAcceptKey,
    drain: buildCommand({ loader: () => import('./commands/workers-drain.ts'), parameters: oneWorker, docs: { brief: 'Give it no new work; what runs there ends normally' } }),
    open: buildCommand({ loader: () => import('./commands/workers-open.ts'), parameters: oneWorker, docs: { brief: 'Give it work again' } }),
    reconnect: workersReconnect,
    remove: workersRemove,
  },
  docs: { brief: 'The machines that do the work' },
});

const projects = buildRouteMap({
  routes: {
    add: buildCommand({
      loader: () => import('./commands/projects-add.ts'),
      parameters: {
        flags: { name: { kind: 'parsed', parse: text, optional: true, placeholder: 'name', brief: 'Name of the project; from the source when absent' } },
        positional: { kind: 'tuple', parameters: [{ brief: 'Path on the server or a URL that git can read', parse: text, placeholder: 'source', default: '.' }] },
      },
      docs: { brief: 'Register a git repository' },
    }),
    list: buildCommand({ loader: () => import('./commands/projects-list.ts'), parameters: {}, docs: { brief: 'Registered repositories' } }),
  },
  docs: { brief: 'Repositories that tasks run in' },
});

const test = buildCommand({
  loader: () => import('./commands/test.ts'),
  parameters: {
    flags: {
      ...submitting,
      runner: { kind: 'parsed', parse: text, optional: true, placeholder: 'name', brief: 'Test runner, where it is not found by itself' },
      junit: { kind: 'parsed', parse: text, optional: true, placeholder: 'file', brief: 'Write the merged JUnit XML there' },
      coverage: { kind: 'parsed', parse: text, optional: true, placeholder: 'file', brief: 'Measure coverage and write the merged lcov record there' },
      maxSlots: { kind: 'parsed', parse: wholeNumber, optional: true, placeholder: 'number', brief: 'Use at most so many slots of the pool' },
      retry: { kind: 'boolean', default: true, brief: 'Run failed files once more, to name flaky tests' },
    },
    positional: { kind: 'array', parameter: { brief: 'Only test files whose path contains one of these', parse: text, placeholder: 'pattern' } },
  },
  docs: {
    brief: 'Run the tests of this repository on all workers',
    fullDescription:
      'Runs the working tree as it is: uncommitted changes and new files are part of it, ignored files are not; your branch, index and files are not touched.\n' +
      'Exits with 0 when all tests passed, also if some only did when run again; with 5 when one failed.',
    customUsage: ['', 'src/parser', '--junit report.xml --coverage lcov.info'],
  },
});

const exec = buildCommand({
  loader: () => import('./commands/exec.ts'),
  parameters: {
    flags: {
      ...submitting,
      checkout: { kind: 'boolean', optional: true, withNegated: false, brief: 'In a checkout of this repository, with uncommitted changes' },
      env: { kind: 'parsed', parse: text, variadic: true, optional: true, placeholder: 'NAME=value', brief: 'Environment variable of the command' },
      timeout: { kind: 'parsed', parse: seconds, optional: true, placeholder: 'seconds', brief: 'Stop the command after so long' },
      exitCode: { kind: 'boolean', optional: true, withNegated: false, brief: 'Exit with the status of the command itself, in place of 5' },
    },
    positional: { kind: 'array', parameter: { brief: 'The command; a single argument is a program for /bin/sh', parse: text, placeholder: 'command' }, minimum: 1 },
  },
  docs: {
    brief: 'Run a command on a worker',
    fullDescription:
      'Its output comes through as it is. Exits with 5 when the command failed, or with its own status under --exit-code;\n' +
      'put -- before the command, so that its flags are not taken for ours.',
    customUsage: ['--on build-1 -- uname -a', '--requires gpu -- nvidia-smi', "--exit-code -- 'make test | tail -3'"],
  },
});

const build = buildCommand({
  loader: () => import('./commands/build.ts'),
  parameters: {
    flags: {
      ...submitting,
      out: { kind: 'parsed', parse: text, optional: true, placeholder: 'folder', brief: 'Put the outputs of each target there, as <target>.tar.zst' },
    },
    positional: { kind: 'array', parameter: { brief: 'Targets of tools.build; all when absent. What they need is built too', parse: text, placeholder: 'target' } },
  },
  docs: { brief: 'Build targets of helix.json on the workers', customUsage: ['', 'web api', '--out dist web'] },
});

const tasks = buildRouteMap({
  routes: {
    list: buildCommand({
      loader: () => import('./commands/tasks-list.ts'),
      parameters: {
        flags: {
          state: { kind: 'enum', values: ['blocked', 'pending', 'running', 'paused', 'completed', 'failed', 'cancelled'], optional: true, brief: 'Only tasks in this state' },
          project: { kind: 'parsed', parse: text, optional: true, placeholder: 'project', brief: 'Only tasks of this project' },
          limit: { kind: 'parsed', parse: wholeNumber, default: '20', placeholder: 'number', brief: 'At most so many' },
        },
      },
      docs: { brief: 'The newest tasks' },
    }),
    show: buildCommand({
      loader: () => import('./commands/tasks-show.ts'),
      parameters: {
        flags: { follow: { kind: 'boolean', optional: true, withNegated: false, brief: 'Follow until it is over' } },
        aliases: { f: 'follow' },
        positional: { kind: 'tuple', parameters: [task] },
      },
      docs: { brief: 'One task with its subtasks and its result' },
    }),
    logs: buildCommand({
      loader: () => import('./commands/tasks-logs.ts'),
      parameters: {
        flags: {
          follow: { kind: 'boolean', optional: true, withNegated: false, brief: 'Go on until the task is over' },
          stream: { kind: 'parsed', parse: text, optional: true, placeholder: 'name', brief: 'Only this stream: out, err, or file:<path>' },
          attempt: { kind: 'parsed', parse: wholeNumber, optional: true, placeholder: 'number', brief: 'Of this attempt; the newest when absent' },
        },
        aliases: { f: 'follow' },
        positional: { kind: 'tuple', parameters: [task] },
      },
      docs: { brief: 'What a task printed' },
    }),
    cancel: buildCommand({ loader: () => import('./commands/tasks-cancel.ts'), parameters: { positional: { kind: 'tuple', parameters: [task] } }, docs: { brief: 'Cancel a task and everything below it' } }),
    retry: buildCommand({
      loader: () => import('./commands/tasks-retry.ts'),
      parameters: {
        flags: { detach: { kind: 'boolean', optional: true, withNegated: false, brief: 'Do not follow' } },
        positional: { kind: 'tuple', parameters: [task] },
      },
      docs: { brief: 'Run a failed or cancelled task again; what succeeded is kept' },
    }),
  },
  docs: { brief: 'What was asked for, and how it went' },
});

const events = buildCommand({
  loader: () => import('./commands/events.ts'),
  parameters: {
    flags: {
      topic: { kind: 'parsed', parse: text, default: 'all', placeholder: 'topic', brief: 'all, tasks, workers, projects, task:<id>, worker:<id> or project:<id>' },
      after: { kind: 'parsed', parse: wholeNumber, optional: true, placeholder: 'number', brief: 'What followed this sequence number, too; 0 for all that is kept' },
      follow: { kind: 'boolean', default: true, brief: 'Go on with what happens' },
    },
    aliases: { f: 'follow' },
  },
  docs: { brief: 'What happens, as it happens', customUsage: ['--after 0 --no-follow', '--topic workers --jsonl'] },
});

const config = buildRouteMap({
  routes: {
    check: buildCommand({
      loader: () => import('./commands/config-check.ts'),
      parameters: { positional: { kind: 'tuple', parameters: [{ brief: 'File to check; the helix.json of this repository when absent', parse: text, placeholder: 'file', optional: true }] } },
      docs: { brief: 'Check a helix.json and the environment' },
    }),
    show: buildCommand({ loader: () => import('./commands/config-show.ts'), parameters: {}, docs: { brief: 'The configuration of the server, and where each value came from' } }),
  },
  docs: { brief: 'helix.json and HELIX_… variables' },
});

const helpOn = buildCommand({
  loader: () => import('./commands/help.ts'),
  parameters: { positional: { kind: 'array', parameter: { brief: 'exit-codes, environment, or a command', parse: text, placeholder: 'topic' } } },
  docs: { brief: 'Help on exit codes, on environment variables, or on a command' },
});

const completion = buildCommand({
  loader: () => import('./commands/completion.ts'),
  parameters: { positional: { kind: 'tuple', parameters: [{ brief: 'bash, zsh or fish', parse: text, placeholder: 'shell' }] } },
  docs: { brief: 'Print a completion script for a shell', customUsage: ['bash > ~/.local/share/bash-completion/completions/helix', 'fish > ~/.config/fish/completions/helix.fish'] },
});

const root = buildRouteMap({
  routes: { up, down, status, test, exec, build, workers, projects, tasks, events, config, help: helpOn, completion },
  docs: {
    brief: "Puts builds, tests and commands to work on a team's own machines",
    fullDescription: [
      "Puts builds, tests and commands to work on a team's own machines.",
      '',
      'With any command:',
      ...GLOBAL_FLAGS.map((flag) => `  ${(`placeholder` in flag ? `${flag.name} <${flag.placeholder}>` : flag.name).padEnd(18)}${flag.brief}`),
    ].join('\n'),
  },
});

export function buildApp({ color, onThrow }: AppOptions): Application<HelixContext> {
  const keep = (error: unknown): string => {
    onThrow({ error });
    return '';
  };
  return buildApplication<HelixContext>(
    root,
    {
      name: 'helix',
      scanner: { caseStyle: 'allow-kebab-for-camel', allowArgumentEscapeSequence: true },
      documentation: { disableAnsiColor: !color },
      localization: {
        text: {
          ...text_en,
          noCommandRegisteredForInput: ({ input, corrections }) =>
            `there is no command ${input}${corrections.length > 0 ? `; did you mean ${corrections.join(' or ').replaceAll('`', '')}?` : ''}`,
          exceptionWhileParsingArguments: (error) =>
            error instanceof Error ? usageMessage(error) : String(error),
          exceptionWhileLoadingCommandFunction: keep,
          exceptionWhileRunningCommand: keep,
        },
      },
    },
    {
      help: help({ brief: 'Print help and exit', formatting: { useAliasInUsageLine: false, onlyRequiredInUsageLine: true, caseStyle: 'convert-camel-to-kebab' }, defaultForRouteMap: true }),
      version: version({ brief: 'Print the version and exit', info: { currentVersion: packageJson.version } }),
    },
  );
}

function usageMessage(error: Error): string {
  return formatMessageForArgumentScannerError(error as Parameters<typeof formatMessageForArgumentScannerError>[0], {
    FlagNotFoundError: ({ input, corrections }) => `there is no flag --${input}${corrections.length > 0 ? `; did you mean ${corrections.map((name) => `--${name}`).join(' or ')}?` : ''}`,
    AliasNotFoundError: ({ input }) => `there is no flag -${input}`,
    ArgumentParseError: ({ externalFlagNameOrPlaceholder, exception }) =>
      `${externalFlagNameOrPlaceholder}: ${exception instanceof Error ? exception.message : String(exception)}`,
    UnsatisfiedPositionalError: ({ placeholder }) => `${placeholder} is missing`,
    UnexpectedPositionalError: ({ input }) => `${input} is one argument too many`,
    UnsatisfiedFlagError: ({ externalFlagName }) => `--${externalFlagName} needs a value`,
    EnumValidationError: ({ externalFlagName, input, values }) => `--${externalFlagName} is ${input}, expected one of ${values.join(', ')}`,
  });
}
