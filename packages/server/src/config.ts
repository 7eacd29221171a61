import { readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { configFolder, defaultDataFolder, type UserPlace } from '@helixcode/protocol/config/config-folders';
import { type ResolvedConfig, resolveConfig } from '@helixcode/protocol/config/resolve-config';
import { CodedError } from '@helixcode/protocol/errors';

export interface ServerConfig extends ResolvedConfig {
  /** Absolute. */
  dataFolder: string;
  /** The `helix.json` that was read, where there is one. */
  file: string | undefined;
}

export interface ConfigPlace {
  /** Data folder, before `HELIX_HOME` and before what the file says. */
  home?: string | undefined;
  /** The `helix.json` to read, which must exist; before `HELIX_CONFIG`. */
  file?: string | undefined;
  env?: Readonly<Record<string, string | undefined>>;
  /** What relative paths of `home` and `file` start from. */
  cwd?: string;
}

/**
 * The configuration of a server: environment over `helix.json` over defaults, each value with its origin. The file is the
 * one that is named, else `helix.json` in the data folder, else (where no data folder is named) in the user's
 * configuration folder.
 *
 * @throws CodedError `config.invalid`, naming the key, its value and what was expected
 */
export function loadConfig({ home, file, env = process.env, cwd = process.cwd() }: ConfigPlace = {}): ServerConfig {
  const place: UserPlace = { env, homeFolder: env.HOME || os.homedir(), isRoot: process.getuid?.() === 0 };
  const namedHome = home || env.HELIX_HOME;
  const namedFile = file || env.HELIX_CONFIG;
  const folders = namedHome ? [namedHome] : [defaultDataFolder(place), configFolder(place)];
  const found = namedFile
    ? { name: path.resolve(cwd, namedFile), text: readNamed(path.resolve(cwd, namedFile)) }
    : folders.map((folder) => readIfPresent(path.resolve(cwd, folder, 'helix.json'))).find((one) => one !== undefined);

  const { config, values } = resolveConfig(env, found);
  const configured = config.global.dataFolder;
  const dataFolder = home
    ? path.resolve(cwd, home)
    : configured
      ? path.resolve(env.HELIX_HOME || found === undefined ? cwd : path.dirname(found.name), configured)
      : defaultDataFolder(place);
  const origin = home ? 'argument' : (values.find(({ key }) => key === 'global.dataFolder')?.origin ?? 'default');
  return {
    config: { ...config, global: { ...config.global, dataFolder } },
    values: [{ key: 'global.dataFolder', value: dataFolder, origin }, ...values.filter(({ key }) => key !== 'global.dataFolder')],
    dataFolder,
    file: found?.name,
  };
}

function readNamed(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new CodedError('config.invalid', `the configuration ${file} cannot be read: ${(cause as Error).message}`, {
      next: `ls -l ${file}`,
      cause,
    });
  }
}

function readIfPresent(file: string): { name: string; text: string } | undefined {
  try {
    return { name: file, text: readFileSync(file, 'utf8') };
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new CodedError('config.invalid', `the configuration ${file} cannot be read: ${(cause as Error).message}`, {
      next: `ls -l ${file}`,
      cause,
    });
  }
}
