import { spawn } from 'node:child_process';
import path from 'node:path';
import type { HelixContext } from '../helix-context.ts';
import { findStartedServer, type StartedServer, serverProgram, startServer } from '../start-server.ts';

interface Flags {
  foreground?: boolean;
  port?: number;
}

export default async function up(this: HelixContext, flags: Flags): Promise<void> {
  const running = await findStartedServer(this);
  if (running) return report(this, running);
  if (flags.foreground) {
    const { main, env } = serverProgram(this, flags.port);
    this.exitStatus = await runInFront(main, env, this.cwd);
    return;
  }
  report(this, await startServer(this, flags.port));
}

function report(context: HelixContext, { url, pid, dataFolder, isNew }: StartedServer): void {
  const { out } = context;
  const tokenFile = path.join(dataFolder, 'owner-token');
  if (out.format !== 'text')
    return out.json({ url, pid, tokenFile, dataFolder, logFile: path.join(dataFolder, 'server.log'), started: isNew });
  out.note(
    isNew ? `the server runs (pid ${pid}); its log is ${path.join(dataFolder, 'server.log')}` : `the server runs already (pid ${pid})`,
  );
  out.note(`the owner's token is in ${tokenFile}`);
  out.line(url);
  out.hint('helix workers add user@host makes a machine a worker; helix test runs the tests of a repository');
}

/** Signals of the terminal reach both processes; the server ends in order, and its status is ours. */
function runInFront(main: string, env: NodeJS.ProcessEnv, cwd: string): Promise<number> {
  const child = spawn(process.execPath, [main], { env, cwd, stdio: 'inherit' });
  const pass = (signal: NodeJS.Signals): void => void child.kill(signal);
  const ignore = (): void => {};
  process.on('SIGINT', ignore);
  process.on('SIGTERM', pass);
  process.on('SIGHUP', pass);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => {
      process.off('SIGINT', ignore);
      process.off('SIGTERM', pass);
      process.off('SIGHUP', pass);
      resolve(code ?? 1);
    });
  });
}
