import { nearestName } from '../nearest-name.ts';
import { type ConfigFault, describeExpected, schemaAt } from './check-config.ts';
import { helixConfig } from './helix-config.ts';

export interface ConfigVariable {
  name: string;
  /** Of the configuration: `workers.heartbeatMs`. */
  key: string;
  description: string;
}

/** Names people and platforms use for these, beside `HELIX_<SECTION>_<KEY>`. */
const SHORT_NAMES: Record<string, string> = {
  DATABASE_URL: 'database.url',
  HELIX_HOME: 'global.dataFolder',
  HELIX_HOST: 'clients.host',
  HELIX_PORT: 'clients.port',
  HELIX_SERVER: 'clients.server',
};

/** Every environment variable that sets a key of the configuration. Lists and objects are given as JSON. */
export function configVariables(): ConfigVariable[] {
  const long = Object.keys(helixConfig.shape)
    .filter((section) => section !== '$schema')
    .flatMap((section) =>
      Object.keys(schemaAt([section])?.properties ?? {}).map(
        (key) => [`HELIX_${section.toUpperCase()}_${snake(key)}`, `${section}.${key}`] as const,
      ),
    );
  return [...Object.entries(SHORT_NAMES), ...long].map(([name, key]) => {
    const schema = schemaAt(key.split('.'));
    return { name, key, description: [schema && describeExpected(schema), schema?.description].filter(Boolean).join('; ') };
  });
}

export interface Override {
  variable: string;
  key: string;
  value: unknown;
}

/**
 * What the environment sets. An empty variable counts as absent; where two name one key, the short name wins.
 *
 * @returns `faults` for variables that begin with `HELIX_<SECTION>_` but name no key, and for values that cannot be read
 */
export function configOverrides(env: Readonly<Record<string, string | undefined>>): { overrides: Override[]; faults: ConfigFault[] } {
  const variables = configVariables();
  const names = new Map(variables.map((variable) => [variable.name, variable]));
  const sections = Object.keys(helixConfig.shape).map((section) => `HELIX_${section.toUpperCase()}_`);
  const byKey = new Map<string, Override>();
  const faults: ConfigFault[] = [];
  for (const [name, text] of Object.entries(env).sort(([a], [b]) => Number(a in SHORT_NAMES) - Number(b in SHORT_NAMES))) {
    if (text === undefined || text === '') continue;
    const variable = names.get(name);
    if (variable === undefined) {
      if (!sections.some((section) => name.startsWith(section))) continue;
      const meant = nearestName(name, names.keys());
      faults.push({
        key: name,
        message: `${name} names no key of the configuration${meant === undefined ? '' : `; did you mean ${meant}?`}`,
      });
      continue;
    }
    const schema = schemaAt(variable.key.split('.'));
    const value = readValue(text, schema?.type);
    if (value === undefined)
      faults.push({ key: name, message: `${name} is ${JSON.stringify(text)}, expected ${schema ? describeExpected(schema) : 'JSON'}` });
    else byKey.set(variable.key, { variable: name, key: variable.key, value });
  }
  return { overrides: [...byKey.values()], faults };
}

function readValue(text: string, type: string | undefined): unknown {
  switch (type) {
    case 'string':
      return text;
    case 'integer':
    case 'number':
      return /^-?\d+(\.\d+)?$/.test(text.trim()) ? Number(text) : undefined;
    case 'boolean':
      return { true: true, '1': true, false: false, '0': false }[text.trim().toLowerCase()];
    default:
      try {
        return JSON.parse(text) as unknown;
      } catch {
        return undefined;
      }
  }
}

/** `heartbeatMs` → `HEARTBEAT_MS` */
function snake(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}
