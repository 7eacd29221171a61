/** What is needed to know of a user to say where their files belong. */
export interface UserPlace {
  env: Readonly<Record<string, string | undefined>>;
  homeFolder: string;
  isRoot: boolean;
}

/**
 * Where a server keeps its state unless it is told otherwise.
 * @see XDG Base Directory Specification
 */
export function defaultDataFolder({ env, homeFolder, isRoot }: UserPlace): string {
  if (isRoot) return '/var/lib/helix';
  return `${env.XDG_STATE_HOME || `${homeFolder}/.local/state`}/helix`;
}

/** Where `helix.json` of a server is looked for, beside its data folder. */
export function configFolder({ env, homeFolder, isRoot }: UserPlace): string {
  if (isRoot) return '/etc/helix';
  return `${env.XDG_CONFIG_HOME || `${homeFolder}/.config`}/helix`;
}
