import { CodedError } from '@helixcode/protocol/errors';
import type { z } from 'zod';

/** How much of a wrong value is shown. */
const shownCharacters = 80;

/**
 * Says what is wrong with a part of a request: which key, which value, and what was expected there.
 *
 * @param part      where it stands: `query`, `body`
 * @param input     the part as it arrived
 * @param known     keys that may stand there, for the sentence about an unknown one
 * @param operation name of the route
 */
export function schemaFault(part: string, input: unknown, error: z.ZodError, known: readonly string[], operation: string): CodedError {
  const faults = error.issues.flatMap((issue) => describe(part, input, issue, known));
  const [first = `the ${part} is not as expected`, ...others] = faults;
  return new CodedError('api.bad_request', others.length > 0 ? `${first} (and ${others.length} more)` : first, {
    next: `/api/openapi.json describes ${operation}`,
    details: { faults },
  });
}

function describe(part: string, input: unknown, issue: z.core.$ZodIssue, known: readonly string[]): string[] {
  if (issue.code === 'unrecognized_keys') {
    const keys = issue.path.length === 0 && known.length > 0 ? `; known are ${known.join(', ')}` : '';
    return issue.keys.map((key) => {
      const path = [...issue.path, key];
      return `${part} key ${nameOf(path)} is unknown (it is ${shown(valueAt(input, path))})${keys}`;
    });
  }
  if (issue.code === 'invalid_union' && issue.errors.length > 0) {
    // Of the alternatives, the one that got furthest is the one that was meant.
    const meant = issue.errors.reduce((best, errors) => (depth(errors) > depth(best) ? errors : best));
    return meant.flatMap((inner) => describe(part, input, { ...inner, path: [...issue.path, ...inner.path] }, known));
  }
  const value = valueAt(input, issue.path);
  const where = issue.path.length > 0 ? `${part} key ${nameOf(issue.path)}` : `the ${part}`;
  return [
    value === undefined ? `${where} is missing; expected ${expected(issue)}` : `${where} is ${shown(value)}; expected ${expected(issue)}`,
  ];
}

function expected(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return withArticle(issue.expected);
    case 'invalid_value':
      return `one of ${issue.values.map((value) => String(value)).join(', ')}`;
    case 'invalid_union':
      return 'options' in issue && Array.isArray(issue.options)
        ? `one of ${issue.options.map((option) => String(option)).join(', ')}`
        : 'another form';
    case 'too_small':
      return `at least ${issue.minimum}${unitOf(issue.origin)}`;
    case 'too_big':
      return `at most ${issue.maximum}${unitOf(issue.origin)}`;
    case 'invalid_format':
      if (issue.format === 'regex' && issue.pattern) return `what matches ${issue.pattern}`;
      if ('prefix' in issue && typeof issue.prefix === 'string') return `what begins with ${issue.prefix}`;
      if ('includes' in issue && typeof issue.includes === 'string') return `what contains ${issue.includes}`;
      return withArticle(issue.format);
    default:
      return issue.message;
  }
}

function withArticle(type: string): string {
  const name = type === 'int' ? 'integer' : type;
  return `${/^[aeiou]/.test(name) ? 'an' : 'a'} ${name}`;
}

function unitOf(origin: string): string {
  if (origin === 'string') return ' characters';
  return origin === 'array' || origin === 'set' ? ' items' : '';
}

function depth(issues: readonly z.core.$ZodIssue[]): number {
  return Math.max(0, ...issues.map(({ path }) => path.length));
}

function nameOf(path: readonly PropertyKey[]): string {
  return path.reduce<string>(
    (name, key) => (typeof key === 'number' ? `${name}[${key}]` : name ? `${name}.${String(key)}` : String(key)),
    '',
  );
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  let value = input;
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<PropertyKey, unknown>)[key];
  }
  return value;
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > shownCharacters ? `${text.slice(0, shownCharacters)}…` : text;
}
