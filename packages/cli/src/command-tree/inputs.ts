import { numberParser } from '@stricli/core';

export const text = (input: string): string => input;

export const wholeNumber = (input: string): number => {
  const number = numberParser(input);
  if (!Number.isInteger(number) || number < 0) throw new Error(`${input} is not a whole number`);
  return number;
};

export const seconds = (input: string): number => {
  const number = numberParser(input);
  if (!(number > 0)) throw new Error(`${input} is not a number of seconds`);
  return number;
};

export const worker = { brief: 'Name or id of a worker', parse: text, placeholder: 'worker' } as const;

export const task = { brief: 'Id of a task', parse: text, placeholder: 'task' } as const;

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
  priority: { kind: 'parsed', parse: numberParser, optional: true, placeholder: 'number', brief: 'From -100 to 100; higher goes first' },
  wait: {
    kind: 'parsed',
    parse: seconds,
    optional: true,
    placeholder: 'seconds',
    brief: 'Follow for so long at most; then exit 6, and the task goes on',
  },
  detach: { kind: 'boolean', optional: true, withNegated: false, brief: 'Do not follow: print the id of the task' },
} as const;
