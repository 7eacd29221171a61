import { checkConfig, configInvalid, parseConfig, parseJson } from './check-config.ts';
import { configOverrides } from './config-environment.ts';
import { type HelixConfig, helixConfig } from './helix-config.ts';
import { faultsOfProviders } from './providers-config.ts';

export interface ConfigValue {
  /** `workers.heartbeatMs` */
  key: string;
  value: unknown;
  /** `default`, the file, or `environment HELIX_PORT`. */
  origin: string;
}

export interface ResolvedConfig {
  config: HelixConfig;
  /** Every key that has a value, in the order of the schema. Passwords in URLs are hidden. */
  values: ConfigValue[];
}

/**
 * Puts the configuration together: the environment goes over the file, the file over the defaults.
 *
 * @throws CodedError `config.invalid`; what is wrong is said of the file or of the variable that it stands in
 */
export function resolveConfig(env: Readonly<Record<string, string | undefined>>, file?: { name: string; text: string }): ResolvedConfig {
  if (file) parseConfig(file.text, file.name);
  const merged = (file ? structuredClone(parseJson(file.text, file.name)) : {}) as Record<string, Record<string, unknown>>;
  const { overrides, faults } = configOverrides(env);
  if (faults.length > 0) throw configInvalid('the environment', faults);
  const origins = new Map<string, string>();
  for (const [section, keys] of Object.entries(merged)) {
    if (section !== '$schema') for (const key of Object.keys(keys)) origins.set(`${section}.${key}`, file?.name ?? '');
  }
  for (const { variable, key, value } of overrides) {
    const [section = '', name = ''] = key.split('.');
    checkConfig({ [section]: { [name]: value } }, `environment ${variable}`);
    (merged[section] ??= {})[name] = value;
    origins.set(key, `environment ${variable}`);
  }
  const config = checkConfig(merged, file?.name ?? 'the environment');
  // Between keys it is looked only now: one may stand in the file and another in the environment.
  const disagreements = faultsOfProviders(config.providers);
  if (disagreements.length > 0) throw configInvalid(file?.name ?? 'the environment', disagreements);
  const values = Object.keys(helixConfig.shape)
    .filter((section) => section !== '$schema')
    .flatMap((section) =>
      Object.entries((config as unknown as Record<string, Record<string, unknown>>)[section] ?? {})
        .filter(([, value]) => value !== undefined)
        .map(([name, value]) => {
          const key = `${section}.${name}`;
          return { key, value: withoutPassword(value), origin: origins.get(key) ?? 'default' };
        }),
    );
  return { config, values };
}

function withoutPassword(value: unknown): unknown {
  return typeof value === 'string' ? value.replace(/^([a-z][a-z0-9+.-]*:\/\/[^/:@]*):[^@]*@/i, '$1:***@') : value;
}
