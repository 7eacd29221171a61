import { numberParser } from '@stricli/core';
import { durationMs } from '../duration.ts';

export const text = (input: string): string => input;

export const wholeNumber = (input: string): number => {
  const number = numberParser(input);
  if (!Number.isInteger(number) || number < 0) throw new Error(`${input} is not a whole number`);
  return number;
};

const wholeBetween =
  (least: number, most: number) =>
  (input: string): number => {
    const number = numberParser(input);
    if (!Number.isInteger(number) || number < least || number > most)
      throw new Error(`${input} is not a whole number from ${least} to ${most}`);
    return number;
  };

/** Of turns: at least one. */
export const count = wholeBetween(1, 10_000);

/** Of money or minutes: more than nothing. */
export const aboveZero = (input: string): number => {
  const number = Number(input);
  if (!Number.isFinite(number) || number <= 0) throw new Error(`${input} is not a number above 0`);
  return number;
};

export const session = { brief: 'Id of a session', parse: text, placeholder: 'session' } as const;

export const worker = { brief: 'Name or id of a worker', parse: text, placeholder: 'worker' } as const;

export const task = { brief: 'Id of a task', parse: text, placeholder: 'task' } as const;

/** A flag that takes a length of time; the command gets milliseconds. */
export const duration = <Brief extends string>(brief: Brief) =>
  ({ kind: 'parsed', parse: durationMs, optional: true, placeholder: 'duration', brief }) as const;

const numberFlag = (brief: string, placeholder: string, most: number) =>
  ({
    kind: 'parsed',
    parse: (input: string): number => {
      const number = numberParser(input);
      if (!(number >= 0 && number <= most)) throw new Error(`${input} is not a number from 0${most === Infinity ? ' on' : ` to ${most}`}`);
      return number;
    },
    optional: true,
    placeholder,
    brief,
  }) as const;

export const share = (brief: string) => numberFlag(brief, 'share', 1);

export const amount = (brief: string) => numberFlag(brief, 'amount', Infinity);

/** Where a task may run and how long it is followed: shared by all that hand one in. */
export const submitting = {
  on: { kind: 'parsed', parse: text, optional: true, placeholder: 'worker', brief: 'Only on this worker' },
  requires: {
    kind: 'parsed',
    parse: text,
    variadic: ',',
    optional: true,
    placeholder: 'labels',
    brief: 'Capabilities the worker must have, e.g. gpu,linux',
  },
  priority: {
    kind: 'parsed',
    parse: wholeBetween(-100, 100),
    optional: true,
    placeholder: 'number',
    brief: 'From -100 to 100; higher goes first',
  },
  wait: duration('Follow for so long at most, e.g. 30s or 5m; then exit 6, and the task goes on'),
  detach: { kind: 'boolean', optional: true, withNegated: false, brief: 'Do not follow: print the id of the task' },
} as const;

/** What becomes of a task when a command fails or a worker falls silent: shared by all that hand one in. */
export const policy = {
  deadline: duration('Give it up so long after it was handed in, e.g. 10m or 1h30m'),
  maxAttempts: {
    kind: 'parsed',
    parse: wholeBetween(1, 100),
    optional: true,
    placeholder: 'number',
    brief: 'Tries in all while the command itself fails; 1 when absent',
  },
  backoff: duration('Pause before the second try; it doubles with each'),
  replaceLost: {
    kind: 'parsed',
    parse: wholeBetween(0, 100),
    optional: true,
    placeholder: 'number',
    brief: 'How often it starts again after a worker lost it; 2 when absent, 0 when it must not run twice',
  },
  lostAfter: duration('Silence of its worker after which it starts on another one, e.g. 2m'),
  replace: { kind: 'boolean', optional: true, brief: 'Whether silence alone starts it on another worker; it does when absent' },
  reconcile: {
    kind: 'enum',
    values: ['first_done', 'keep_original', 'keep_replacement'],
    optional: true,
    brief: 'What counts when a silent worker comes back after all; first_done when absent',
  },
  stopOnWorkerAfter: duration('The worker itself stops the command after so long without the server'),
  critical: {
    kind: 'boolean',
    optional: true,
    withNegated: false,
    brief: 'Never start it elsewhere because of silence: pause all of the task until the worker is back',
  },
  grace: duration('With --critical: end that pause after so long, and start it elsewhere'),
  checkpointEvery: duration('Record the changed files of its checkout so often, and when it ends badly; it goes on there'),
} as const;
