import { writeFileSync } from 'node:fs';
import path from 'node:path';

/** Models on the loopback have names like others. */
export const SCRIPTED_MODEL = 'local/scripted';

/** Writes a configuration with a model on the loopback and no other one. @returns the environment of a server that uses it */
export function usesModelAt(baseUrl: string, home: string, contextTokens = 200_000): { HELIX_CONFIG: string } {
  const file = path.join(home, 'helix.json');
  const pool = [{ kind: 'openai-compatible', name: 'local', baseUrl, models: { scripted: { contextTokens } } }];
  writeFileSync(file, JSON.stringify({ providers: { pool, default: [SCRIPTED_MODEL] } }));
  return { HELIX_CONFIG: file };
}
