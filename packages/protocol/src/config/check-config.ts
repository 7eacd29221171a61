import { CodedError } from '../errors.ts';
import { nearestName } from '../nearest-name.ts';
import { type HelixConfig, helixConfig, helixConfigJsonSchema } from './helix-config.ts';

/** One thing that is wrong in a configuration. */
export interface ConfigFault {
  /** Where, as a person would write it: `workers.pool[0].name`. */
  key: string;
  /** The value that stands there and what was expected, in a sentence. */
  message: string;
}

/** As much of JSON Schema as our own schema uses. */
interface Schema {
  type?: string;
  properties?: Record<string, Schema>;
  additionalProperties?: Schema | boolean;
  items?: Schema;
  anyOf?: Schema[];
  enum?: unknown[];
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  minLength?: number;
  minItems?: number;
  pattern?: string;
  format?: string;
  description?: string;
}

type Path = readonly PropertyKey[];

let wholeSchema: Schema | undefined;

function rootSchema(): Schema {
  wholeSchema ??= helixConfigJsonSchema() as Schema;
  return wholeSchema;
}

/**
 * Reads the text of a `helix.json`.
 *
 * @param file how the text is called in what is said about it
 * @throws CodedError `config.invalid`: names the line where it is not JSON; else every key that is wrong, its value, what
 *   was expected, and for an unknown key the one that was probably meant
 */
export function parseConfig(text: string, file: string): HelixConfig {
  return checkConfig(parseJson(text, file), file);
}

/** Fills in the defaults. @throws CodedError `config.invalid` as `parseConfig` */
export function checkConfig(value: unknown, file: string): HelixConfig {
  const parsed = helixConfig.safeParse(value);
  if (parsed.success) return parsed.data;
  const root = rootSchema();
  const faults = parsed.error.issues.flatMap((issue): ConfigFault[] =>
    issue.code === 'unrecognized_keys'
      ? issue.keys.map((key) => unknownKey(root, issue.path, key))
      : [wrongValue(root, issue.path, value, issue.message)],
  );
  throw configInvalid(file, faults);
}

/** @throws CodedError `config.invalid` with line and column */
export function parseJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch (cause) {
    const said = cause instanceof Error ? cause.message : String(cause);
    throw new CodedError('config.invalid', `${file} is not JSON: ${said}`, {
      next: `helix config check ${file}`,
      cause,
      details: { file },
    });
  }
}

export function configInvalid(file: string, faults: ConfigFault[]): CodedError {
  return new CodedError('config.invalid', `${file}: ${faults.map((fault) => fault.message).join('; ')}`, {
    next: 'helix config check',
    details: { file, faults },
  });
}

/** The schema at a path of the configuration, and the path as text. `undefined` where nothing is known there. */
export function schemaAt(path: Path, root = rootSchema()): Schema | undefined {
  return path.reduce<Schema | undefined>((schema, part) => {
    const inner = schema?.anyOf?.find((one) => one.type !== 'null') ?? schema;
    if (typeof part === 'number') return inner?.items;
    return inner?.properties?.[String(part)] ?? (typeof inner?.additionalProperties === 'object' ? inner.additionalProperties : undefined);
  }, root);
}

/** What may stand there, in words: `a whole number from 0 to 65535`. */
export function describeExpected(schema: Schema): string {
  const inner = schema.anyOf?.find((one) => one.type !== 'null') ?? schema;
  if (inner.enum) return `one of ${inner.enum.join(', ')}`;
  switch (inner.type) {
    case 'integer':
    case 'number': {
      const noun = inner.type === 'integer' ? 'a whole number' : 'a number';
      const { minimum, maximum } = inner;
      const isBounded = maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER;
      if (minimum !== undefined && isBounded) return `${noun} from ${minimum} to ${maximum}`;
      if (minimum !== undefined && minimum > Number.MIN_SAFE_INTEGER) return `${noun} of at least ${minimum}`;
      if (inner.exclusiveMinimum !== undefined) return `${noun} above ${inner.exclusiveMinimum}`;
      return noun;
    }
    case 'boolean':
      return 'true or false';
    case 'array':
      return inner.minItems ? 'a list that is not empty' : 'a list';
    case 'object':
      return 'an object';
    default:
      if (inner.format === 'uri') return 'a URL';
      if (inner.pattern) return `text that matches ${inner.pattern}`;
      return inner.minLength ? 'text that is not empty' : 'text';
  }
}

function unknownKey(root: Schema, path: Path, key: string): ConfigFault {
  const schema = schemaAt(path, root);
  const inner = schema?.anyOf?.find((one) => one.properties) ?? schema;
  const known = Object.keys(inner?.properties ?? {}).filter((name) => name !== '$schema');
  const meant = nearestName(key, known);
  const hint = meant === undefined ? `known are ${known.join(', ')}` : `did you mean ${meant}?`;
  const where = path.length === 0 ? `there is no key ${key}` : `${keyText(path)} has no key ${key}`;
  return { key: keyText([...path, key]), message: `${where}; ${hint}` };
}

function wrongValue(root: Schema, path: Path, value: unknown, said: string): ConfigFault {
  const key = keyText(path);
  const schema = schemaAt(path, root);
  const expected =
    schema === undefined ? said : `expected ${describeExpected(schema)}${schema.description ? ` (${schema.description})` : ''}`;
  const given = valueAt(value, path);
  const subject = key === '' ? 'the whole' : key;
  // Where the name of a variable belongs, somebody may have put the secret itself.
  const shown = given === undefined ? 'missing' : /Env$/.test(key) ? 'not the name of a variable' : shortJson(given);
  return { key, message: `${subject} is ${shown}, ${expected}` };
}

function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>((inner, part) => (inner as Record<PropertyKey, unknown> | null | undefined)?.[part], value);
}

function keyText(path: Path): string {
  return path
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))
    .join('')
    .replace(/^\./, '');
}

function shortJson(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
