import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { HelixConfig } from '@helixcode/protocol/config/helix-config';

/**
 * The `helix.json` at the root of a repository, with defaults where there is none.
 * @throws CodedError `config.invalid`
 */
export async function readRepositoryConfig(root: string): Promise<HelixConfig> {
  const file = path.join(root, 'helix.json');
  const { checkConfig, parseConfig } = await import('@helixcode/protocol/config/check-config');
  try {
    return parseConfig(await readFile(file, 'utf8'), file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return checkConfig({}, file);
    throw error;
  }
}
