import { accessSync, constants, existsSync, lstatSync, readdirSync, readlinkSync, realpathSync, type Stats, statSync } from 'node:fs';
import { join } from 'node:path';

/** What programs are made of. Everything else of the machine is absent in the sandbox: `/home`, `/root`, `/var`, `/run`, `/srv`, … */
const SYSTEM_FOLDERS = ['/usr', '/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32', '/etc', '/opt', '/nix', '/gnu'];

/** Processors and the memory of the group: runtimes choose their number of threads and their heap by them. */
const MACHINE_FOLDERS = ['/sys/devices/system', '/sys/fs/cgroup'];

/** Where the kernel asks only who somebody is, not what they may do: what a worker of root runs could change the machine there. */
const KERNEL_SWITCHES = ['/proc/sys', '/proc/sysrq-trigger', '/proc/irq', '/proc/bus', '/proc/fs', '/proc/acpi', '/proc/scsi'];

/** Folders of people who look after machines, and how deep private files are looked for in each. */
const PRIVATE_PLACES: [folder: string, depth: number][] = [
  ['/etc', 8],
  ['/opt', 2],
  ['/usr/local/etc', 4],
];

/** Programs below the home folder. What else lies beside them (`~/.cargo/credentials.toml`) is absent. */
const HOME_TOOLS = [
  '.asdf',
  '.bun/bin',
  '.cargo/bin',
  '.deno/bin',
  '.local/bin',
  '.local/share/mise',
  '.local/share/uv',
  '.nvm',
  '.pyenv',
  '.rbenv',
  '.rustup',
  '.sdkman',
  '.volta',
  'go/bin',
];

/** Packages that programs can use without writing to them. Whoever can download has to write, and begins with none. */
const HOME_PACKAGES = ['.cargo/git', '.cargo/registry', 'go/pkg'];

/** Files that became private are found within this time: to look at all of `/etc` takes some milliseconds. */
const LOOK_AGAIN_MS = 60_000;

let known: { atMs: number; masks: string[] } | undefined;

/** @returns arguments of bwrap that show the system, read-only, without what not everybody on the machine may read */
export function systemArgs(): string[] {
  return [
    ...SYSTEM_FOLDERS.flatMap((folder) => {
      const stat = lstatSync(folder, { throwIfNoEntry: false });
      if (stat?.isSymbolicLink()) return ['--symlink', readlinkSync(folder), folder];
      return stat ? ['--ro-bind', folder, folder] : [];
    }),
    ...[...(process.getuid?.() === 0 ? KERNEL_SWITCHES : []), ...MACHINE_FOLDERS].flatMap((folder) => ['--ro-bind-try', folder, folder]),
    ...nameServerArgs(),
    ...privateMasks(),
  ];
}

/**
 * @param home the home folder
 * @param path the search path of programs
 * @param isHidden what must not be shown, whatever the search path says
 * @param withPackages packages that were downloaded before are shown too
 * @returns arguments that show programs outside of the system's own folders
 */
export function toolArgs(home: string, path: string, isHidden: (folder: string) => boolean, withPackages: boolean): string[] {
  const ofHome = [...HOME_TOOLS, ...(withPackages ? HOME_PACKAGES : [])].map((name) => join(home, name));
  const places = path.split(':').filter((place) => place.startsWith('/') && !isInside(place, [...SYSTEM_FOLDERS, ...ofHome]));
  return [...ofHome, ...places]
    .filter((folder) => !isHidden(folder) && isOpenFolder(folder))
    .flatMap((folder) => ['--ro-bind', folder, folder]);
}

function isOpenFolder(folder: string): boolean {
  try {
    accessSync(folder, constants.R_OK | constants.X_OK);
    return statSync(folder).isDirectory();
  } catch {
    return false;
  }
}

/** Whether a folder is one of these, or below. */
export function isInside(folder: string, others: readonly string[]): boolean {
  return others.some((other) => folder === other || folder.startsWith(other === '/' ? other : `${other}/`));
}

/** Whether another folder can be put in the place of this one, without hiding the system or `/tmp`. */
export function isReplaceable(folder: string): boolean {
  const isMachine = isInside(folder, ['/dev', '/proc', '/sys']) || [...SYSTEM_FOLDERS, '/tmp'].some((system) => isInside(system, [folder]));
  // In what is read-only no folder can be made.
  return !isMachine && (existsSync(folder) || !isInside(folder, SYSTEM_FOLDERS));
}

/** The addresses of name servers are often a link into `/run`. */
function nameServerArgs(): string[] {
  try {
    const target = realpathSync('/etc/resolv.conf');
    return isInside(target, ['/etc']) ? [] : ['--ro-bind', target, target];
  } catch {
    return [];
  }
}

/**
 * The sandbox has the account of the worker, which may own files that are nobody else's business: those of root, where
 * it is root. An empty folder, or a device that cannot be opened, stands in their place.
 */
function privateMasks(): string[] {
  const nowMs = performance.now();
  if (!known || nowMs - known.atMs > LOOK_AGAIN_MS)
    known = { atMs: nowMs, masks: PRIVATE_PLACES.flatMap(([folder, depth]) => masksIn(folder, depth)) };
  return known.masks;
}

function masksIn(folder: string, depth: number): string[] {
  return namesIn(folder).flatMap((name) => {
    const path = join(folder, name);
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (!stat || stat.isSymbolicLink()) return [];
    if (!isForEverybody(stat)) return stat.isDirectory() ? ['--tmpfs', path] : ['--ro-bind', '/dev/null', path];
    return stat.isDirectory() && depth > 1 ? masksIn(path, depth - 1) : [];
  });
}

function isForEverybody(stat: Stats): boolean {
  const wanted = stat.isDirectory() ? 0o005 : 0o004;
  return (stat.mode & wanted) === wanted;
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // Absent, or not for the worker's own account either.
  }
}
