import { accessSync, constants, statSync } from 'node:fs';
import { homedir, userInfo } from 'node:os';
import { isAbsolute, join } from 'node:path';

const STANDARD_PLACES = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'].concat(
  process.platform === 'darwin' ? ['/opt/homebrew/bin'] : [],
);

/**
 * What a job finds in its environment before its own variables: a clean account of this machine. Nothing of the way in
 * which the daemon was started leaks: not its own variables, and not the folders that npm puts ahead of the person's
 * programs while it runs a script.
 */
export function baseEnvironment(environment: NodeJS.ProcessEnv = process.env): Record<string, string> {
  const own = (environment['PATH'] ?? '').split(':').filter((place) => isAbsolute(place) && !/\/node_modules\/|\/node_modules$/.test(place));
  const user = userName();
  return {
    PATH: [...new Set([...own, ...STANDARD_PLACES])].join(':'),
    HOME: environment['HOME'] || homedir(),
    USER: user,
    LOGNAME: user,
    SHELL: '/bin/sh',
    LANG: environment['LANG'] || 'C.UTF-8',
  };
}

/** @returns the first executable of that name on `path` */
export function findProgram(name: string, path: string): string | undefined {
  for (const place of path.split(':')) {
    const candidate = join(place, name);
    try {
      accessSync(candidate, constants.X_OK);
      if (statSync(candidate).isFile()) return candidate;
    } catch {
      // Not here.
    }
  }
  return undefined;
}

/** @returns the account's name, or its number where the machine has no list of accounts */
export function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.());
  }
}
