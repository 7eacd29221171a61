import { mkdirSync, rmdirSync, rmSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { isWorkerToken } from '@helixcode/protocol/worker/dial-in';
import { makePrivateFolder } from '../home/worker-home.ts';
import { readIfThere, replaceFile } from '../home/write-file.ts';

/** What this machine keeps of a server it has joined. */
export interface JoinedServer {
  url: string;
  /** The worker's own token; the server has its hash. */
  token: string;
  /** Its id there, which names the folder of its things; absent until the server has let it in for the first time. */
  worker?: string;
  name?: string;
}

/** The file, readable by its owner only, of one server: `joined/<this host>/<server>.json` in the worker's home. */
export class JoinedServerFile {
  readonly path: string;
  /** The worker's home. */
  readonly root: string;

  constructor(root: string, url: string) {
    this.root = root;
    const server = url.replace('://', '-').replaceAll(/[^A-Za-z0-9.-]/g, '_');
    this.path = join(root, 'joined', hostname().replaceAll(/[^A-Za-z0-9.-]/g, '_') || 'localhost', `${server}.json`);
  }

  /** Whoever holds this keeps the link to the server. */
  get lockPath(): string {
    return `${this.path}.lock`;
  }

  /** @throws Error when others could write to its folder */
  makeFolder(): void {
    mkdirSync(dirname(this.path), { recursive: true, mode: 0o700 });
    makePrivateFolder(dirname(this.path));
  }

  read(): JoinedServer | undefined {
    const text = readIfThere(this.path);
    if (text === undefined) return undefined;
    const joined = JSON.parse(text) as JoinedServer;
    return isWorkerToken(joined.token) ? joined : undefined;
  }

  write(joined: JoinedServer): void {
    this.makeFolder();
    replaceFile(this.path, `${JSON.stringify(joined)}\n`);
  }

  remove(): void {
    rmSync(this.path, { force: true });
  }

  /** Leaves no empty folder behind either. */
  releaseLock(): void {
    rmSync(this.lockPath, { force: true });
    for (const folder of [dirname(this.path), dirname(dirname(this.path))]) {
      try {
        rmdirSync(folder);
      } catch {
        return; // Something of another host or server is in it.
      }
    }
  }
}
