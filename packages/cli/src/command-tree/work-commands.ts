import { buildCommand } from '@stricli/core';
import { duration, policy, submitting, text, wholeNumber } from './inputs.ts';

export const test = buildCommand({
  loader: () => import('../commands/test.ts'),
  parameters: {
    flags: {
      ...submitting,
      runner: { kind: 'parsed', parse: text, optional: true, placeholder: 'name', brief: 'Test runner, where it is not found by itself' },
      junit: { kind: 'parsed', parse: text, optional: true, placeholder: 'file', brief: 'Write the merged JUnit XML there' },
      coverage: {
        kind: 'parsed',
        parse: text,
        optional: true,
        placeholder: 'file',
        brief: 'Measure coverage and write the merged lcov record there',
      },
      maxSlots: {
        kind: 'parsed',
        parse: wholeNumber,
        optional: true,
        placeholder: 'number',
        brief: 'Use at most so many slots of the pool',
      },
      retry: { kind: 'boolean', default: true, brief: 'Run failed files once more, to name flaky tests' },
      ...policy,
    },
    positional: {
      kind: 'array',
      parameter: { brief: 'Only test files whose path contains one of these', parse: text, placeholder: 'pattern' },
    },
  },
  docs: {
    brief: 'Run the tests of this repository on all workers',
    fullDescription:
      'Runs the working tree as it is: uncommitted changes and new files are part of it, ignored files are not; your branch, index and files are not touched.\n' +
      'Exits with 0 when all tests passed, also if some only did when run again; with 5 when one failed.',
    customUsage: ['', 'src/parser', '--junit report.xml --coverage lcov.info'],
  },
});

export const exec = buildCommand({
  loader: () => import('../commands/exec.ts'),
  parameters: {
    flags: {
      ...submitting,
      checkout: {
        kind: 'boolean',
        optional: true,
        withNegated: false,
        brief: 'In a checkout of this repository, with uncommitted changes',
      },
      env: {
        kind: 'parsed',
        parse: text,
        variadic: true,
        optional: true,
        placeholder: 'NAME=value',
        brief: 'Environment variable of the command',
      },
      timeout: duration('Stop the command after so long'),
      exitCode: { kind: 'boolean', optional: true, withNegated: false, brief: 'Exit with the status of the command itself, in place of 5' },
      ...policy,
    },
    positional: {
      kind: 'array',
      parameter: { brief: 'The command; a single argument is a program for /bin/sh', parse: text, placeholder: 'command' },
      minimum: 1,
    },
  },
  docs: {
    brief: 'Run a command on a worker',
    fullDescription:
      'Its output comes through as it is. Exits with 5 when the command failed, or with its own status under --exit-code;\n' +
      'put -- before the command, so that its flags are not taken for ours.',
    customUsage: [
      '--on build-1 -- uname -a',
      '--requires gpu -- nvidia-smi',
      "--exit-code -- 'make test | tail -3'",
      '--checkout --checkpoint-every 30s --lost-after 1m -- make all',
      '--replace-lost 0 --deadline 10m -- ./deploy',
    ],
  },
});

export const build = buildCommand({
  loader: () => import('../commands/build.ts'),
  parameters: {
    flags: {
      ...submitting,
      out: {
        kind: 'parsed',
        parse: text,
        optional: true,
        placeholder: 'folder',
        brief: 'Put the outputs of each target there, as <target>.tar.zst',
      },
      ...policy,
    },
    positional: {
      kind: 'array',
      parameter: { brief: 'Targets of tools.build; all when absent. What they need is built too', parse: text, placeholder: 'target' },
    },
  },
  docs: { brief: 'Build targets of helix.json on the workers', customUsage: ['', 'web api', '--out dist web'] },
});
