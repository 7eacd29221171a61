import { writeFileSync } from 'node:fs';
import path from 'node:path';

/**
 * Writes a configuration with a model on the loopback and no other one.
 *
 * @param tools as in helix.json
 * @returns the environment of a server that uses it
 */
export function usesModelAt(baseUrl: string, home: string, tools: object = {}): { HELIX_CONFIG: string } {
  const file = path.join(home, 'helix.json');
  const pool = [{ kind: 'openai-compatible', name: 'local', baseUrl, models: { scripted: { contextTokens: 200_000 } } }];
  writeFileSync(file, JSON.stringify({ providers: { pool, default: ['local/scripted'] }, tools }));
  return { HELIX_CONFIG: file };
}
