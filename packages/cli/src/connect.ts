import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Client } from '@helixcode/client/http-client';
import type { LiveClient } from '@helixcode/client/live-client';
import { CodedError } from '@helixcode/protocol/errors';
import type { HelixContext } from './helix-context.ts';
import { dataFolderOf, readOwnerToken, readServerUrl } from './local-server.ts';

/** A server that commands talk to. */
export interface Connection extends Client {
  readonly baseUrl: string;
  /** Events as they happen; loaded and connected when first asked for. */
  live(): Promise<LiveClient>;
}

/**
 * Finds the server (`--server`, `HELIX_SERVER`, `clients.server` of the repository's helix.json, the one of this machine) and
 * the token (`HELIX_TOKEN`, else the owner's token of this machine, which is shown to no other machine).
 *
 * @throws CodedError `server.unreachable` where none is known, `auth.token_missing`
 */
export async function connect(context: HelixContext): Promise<Connection> {
  const dataFolder = dataFolderOf(context);
  const own = readServerUrl(dataFolder);
  const baseUrl = namedServer(context) ?? own;
  if (baseUrl === undefined)
    throw new CodedError('server.unreachable', `no server runs on this machine (there is none in ${dataFolder})`, { next: 'helix up' });
  if (!URL.canParse(baseUrl))
    throw new CodedError('cli.bad_usage', `${baseUrl} is not a URL`, { next: 'helix status --server http://127.0.0.1:7777' });

  const token = context.env.HELIX_TOKEN || (baseUrl === own || isLoopback(baseUrl) ? readOwnerToken(dataFolder) : undefined);
  if (token === undefined)
    throw new CodedError('auth.token_missing', `there is no token for ${baseUrl}`, {
      next: `HELIX_TOKEN=… helix status --server ${baseUrl}`,
    });

  const options = { baseUrl, token };
  const { createClient } = await import('@helixcode/client/http-client');
  let live: Promise<LiveClient> | undefined;
  return {
    ...createClient(options),
    baseUrl,
    live() {
      live ??= import('@helixcode/client/live-client').then(({ createLiveClient }) => createLiveClient(options));
      return live;
    },
  };
}

/** As `connect`; where no other server is named and none runs on this machine, one is started, which goes on afterwards. */
export async function connectOrStart(context: HelixContext): Promise<Connection> {
  if (namedServer(context) === undefined) {
    const { findStartedServer, startServer } = await import('./start-server.ts');
    if ((await findStartedServer(context)) === undefined) {
      const { pid } = await startServer(context);
      context.out.note(`started a server (pid ${pid}); \`helix down\` stops it`);
    }
  }
  return connect(context);
}

function namedServer({ flags, env, cwd }: HelixContext): string | undefined {
  return flags.server ?? (env.HELIX_SERVER || undefined) ?? configuredServer(cwd);
}

/** Only this key is looked at: whether the file is right as a whole is asked where its other keys are used. */
function configuredServer(cwd: string): string | undefined {
  for (let folder = path.resolve(cwd); ; folder = path.dirname(folder)) {
    const file = path.join(folder, 'helix.json');
    if (existsSync(file)) {
      try {
        const server = (JSON.parse(readFileSync(file, 'utf8')) as { clients?: { server?: unknown } } | null)?.clients?.server;
        return typeof server === 'string' ? server : undefined;
      } catch (cause) {
        throw new CodedError('config.invalid', `${file} is not JSON: ${(cause as Error).message}`, {
          next: `helix config check ${file}`,
          cause,
        });
      }
    }
    if (existsSync(path.join(folder, '.git')) || folder === path.dirname(folder)) return undefined;
  }
}

function isLoopback(url: string): boolean {
  const { hostname } = new URL(url);
  return hostname === 'localhost' || hostname === '[::1]' || /^127\./.test(hostname);
}
