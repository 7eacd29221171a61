import { chmodSync, cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { styleText } from 'node:util';
import { givenSshd, noSshd, type TestSshd } from '../../packages/server/test/support/sshd.ts';
import { mustRun, runCommand } from './command.ts';

export const ROOT = path.resolve(import.meta.dirname, '../..');
export const HELIX = path.join(ROOT, 'packages/cli/bin/helix.js');

/** What a demo runs on: the sample project, a server and three workers of its own. */
export interface DemoFleet {
  folder: string;
  /** The data folder of the server. */
  home: string;
  /** The sample project, as a repository of its own. */
  repository: string;
  env: NodeJS.ProcessEnv;
  sshds: readonly TestSshd[];
  isJson: boolean;
  /** To people: with `--json`, stdout belongs to the one document. */
  say(sentence: string): void;
  /** Runs a command of ours as a person would type it. @returns its stdout */
  helix(...args: string[]): Promise<string>;
  /** @returns the address of the server */
  startServer(): Promise<string>;
  /** Two more workers beside the local one. @returns how many of them are reached by ssh */
  addWorkers(): Promise<number>;
  /** Ends everything that was started, and removes what it left; with `isKept`, says how to look around. */
  end(isKept: boolean): Promise<void>;
}

/** @param config the `helix.json` of the server */
export async function givenDemoFleet({ isJson, config }: { isJson: boolean; config?: object }): Promise<DemoFleet> {
  const folder = mkdtempSync(path.join(tmpdir(), 'helix-demo-'));
  const home = path.join(folder, 'home');
  const repository = path.join(folder, 'corner-shop');
  const configFile = path.join(folder, 'helix.json');
  const env = {
    ...process.env,
    HELIX_HOME: home,
    HELIX_PORT: '0',
    HELIX_WORKERS_LOCAL_SLOTS: '1',
    ...(config && { HELIX_CONFIG: configFile }),
  };
  const sshds: TestSshd[] = [];

  // As root, the database runs under an account of its own, which must come through.
  chmodSync(folder, 0o711);
  if (config) writeFileSync(configFile, JSON.stringify(config));
  cpSync(path.join(ROOT, 'examples/sample-repo'), repository, { recursive: true });
  const git = (...args: string[]) =>
    mustRun('git', ['-c', 'user.name=demo', '-c', 'user.email=demo@localhost', ...args], { cwd: repository });
  await git('init', '-q', '-b', 'main');
  await git('add', '-A');
  await git('commit', '-q', '-m', 'Open the shop');

  const say = (sentence: string): void => (isJson ? console.error(sentence) : console.log(sentence));
  const helix = (...args: string[]): Promise<string> => {
    say(styleText('dim', `$ helix ${args.map((arg) => (arg.includes(' ') ? JSON.stringify(arg) : arg)).join(' ')}`));
    return mustRun(process.execPath, [HELIX, ...args], { env, show: isJson ? 'nothing' : 'progress' });
  };

  return {
    folder,
    home,
    repository,
    env,
    sshds,
    isJson,
    say,
    helix,
    startServer: async () => (await helix('up')).trim(),

    async addWorkers() {
      const names = ['second', 'third'];
      if (noSshd) {
        say('sshd is not installed here, so all three workers are local ones (apt-get install openssh-server shows real ssh)');
        for (const name of names) await helix('workers', 'add', '--local', name, '--slots', '1');
        return 0;
      }
      say('two workers are reached by ssh, each through an sshd of its own on a loopback port');
      for (const name of names) {
        const sshd = await givenSshd();
        sshds.push(sshd);
        await helix(
          'workers',
          'add',
          `${sshd.user}@${sshd.host}:${sshd.port}`,
          '--name',
          name,
          '--identity',
          sshd.identityFile,
          '--accept-fingerprint',
          sshd.fingerprint,
          '--slots',
          '1',
        );
      }
      return names.length;
    },

    async end(isKept) {
      if (isKept)
        return say(
          `\nIt goes on running. To look around: HELIX_HOME=${home} npx helix status; to end it: HELIX_HOME=${home} npx helix down --workers`,
        );
      for (const name of ['second', 'third'])
        await runCommand(process.execPath, [HELIX, 'workers', 'remove', name, '--force', '--yes'], { env });
      await runCommand(process.execPath, [HELIX, 'down', '--workers'], { env });
      for (const sshd of sshds) await sshd.remove();
      rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
    },
  };
}
