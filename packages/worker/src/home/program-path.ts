import { accessSync, constants, statSync } from 'node:fs';
import { homedir, userInfo } from 'node:os';
import { isAbsolute, join } from 'node:path';

const STANDARD_PLACES = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'].concat(
  process.platform === 'darwin' ? ['/opt/homebrew/bin'] : [],
);

/** How this machine reaches the network and tells the time: a job without them would fail where a terminal succeeds. */
const MACHINE_VARIABLES = [
  ...['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'NO_PROXY'].flatMap((name) => [name, name.toLowerCase()]),
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
  'NODE_EXTRA_CA_CERTS',
  'CURL_CA_BUNDLE',
  'REQUESTS_CA_BUNDLE',
  'GIT_SSL_CAINFO',
  'PIP_CERT',
  'TZ',
];

/**
 * What a job finds in its environment before its own variables: a clean account of this machine. Nothing of the way in
 * which the daemon was started leaks: not its own variables, and not the folders that npm puts ahead of the person's
 * programs while it runs a script.
 */
export function baseEnvironment(environment: NodeJS.ProcessEnv = process.env): Record<string, string> {
  const own = (environment['PATH'] ?? '')
    .split(':')
    .filter((place) => isAbsolute(place) && !/\/node_modules\/|\/node_modules$/.test(place));
  const user = userName();
  const ofMachine = MACHINE_VARIABLES.flatMap((name) => (environment[name] ? [[name, environment[name]] as const] : []));
  return {
    ...Object.fromEntries(ofMachine),
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
