import {
  type Application,
  buildApplication,
  buildRouteMap,
  formatMessageForArgumentScannerError,
  help,
  text_en,
  version,
} from '@stricli/core';
import packageJson from '../package.json' with { type: 'json' };
import { completion, helpOn } from './command-tree/help-commands.ts';
import { models, usage } from './command-tree/model-commands.ts';
import { projects } from './command-tree/project-commands.ts';
import { receipts } from './command-tree/receipt-commands.ts';
import { backup, config, down, events, gc, restore, status, up } from './command-tree/server-commands.ts';
import { approvals, run as runAgent, sessions } from './command-tree/session-commands.ts';
import { tasks } from './command-tree/task-commands.ts';
import { build, exec, test } from './command-tree/work-commands.ts';
import { thisWorker, workers } from './command-tree/worker-commands.ts';
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

const root = buildRouteMap({
  routes: {
    up,
    down,
    status,
    run: runAgent,
    test,
    exec,
    build,
    workers,
    worker: thisWorker,
    projects,
    sessions,
    approvals,
    tasks,
    receipts,
    models,
    usage,
    events,
    config,
    gc,
    backup,
    restore,
    help: helpOn,
    completion,
  },
  docs: {
    brief: "Puts builds, tests and commands to work on a team's own machines",
    fullDescription: [
      "Puts builds, tests and commands to work on a team's own machines.",
      '',
      'With any command:',
      ...GLOBAL_FLAGS.map(
        (flag) => `  ${(`placeholder` in flag ? `${flag.name} <${flag.placeholder}>` : flag.name).padEnd(18)}${flag.brief}`,
      ),
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
          exceptionWhileParsingArguments: (error) => (error instanceof Error ? usageMessage(error) : String(error)),
          exceptionWhileLoadingCommandFunction: keep,
          exceptionWhileRunningCommand: keep,
        },
      },
    },
    {
      help: help({
        brief: 'Print help and exit',
        formatting: { useAliasInUsageLine: false, onlyRequiredInUsageLine: true, caseStyle: 'convert-camel-to-kebab' },
        defaultForRouteMap: true,
      }),
      version: version({ brief: 'Print the version and exit', info: { currentVersion: packageJson.version } }),
    },
  );
}

function usageMessage(error: Error): string {
  return formatMessageForArgumentScannerError(error as Parameters<typeof formatMessageForArgumentScannerError>[0], {
    FlagNotFoundError: ({ input, corrections }) =>
      `there is no flag --${input}${corrections.length > 0 ? `; did you mean ${corrections.map((name) => `--${name}`).join(' or ')}?` : ''}`,
    AliasNotFoundError: ({ input }) => `there is no flag -${input}`,
    ArgumentParseError: ({ externalFlagNameOrPlaceholder, exception }) =>
      `${externalFlagNameOrPlaceholder}: ${exception instanceof Error ? exception.message : String(exception)}`,
    UnsatisfiedPositionalError: ({ placeholder }) => `${placeholder} is missing`,
    UnexpectedPositionalError: ({ input }) => `${input} is one argument too many`,
    UnsatisfiedFlagError: ({ externalFlagName }) => `--${externalFlagName} needs a value`,
    EnumValidationError: ({ externalFlagName, input, values }) => `--${externalFlagName} is ${input}, expected one of ${values.join(', ')}`,
  });
}
