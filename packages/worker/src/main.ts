import { parseArgs } from 'node:util';
import { AGENT_HASH } from './agent-hash.ts';
import { workerHome } from './home/worker-home.ts';

const USAGE = `usage: helix-worker <command> [--ns <worker id>]

  attach   join stdin and stdout with the daemon of this worker, starting it where none runs
  daemon   serve this worker until told to stop
  stop     end the daemon; its jobs go on
  tunnel   (started by git for the daemon)
  version  print what this program is, as JSON

HELIX_WORKER_HOME names the folder of all files; without it, it is ~/.helix-worker.
`;

/** Each command loads only what it needs: `attach` and `tunnel` start for every link and every fetch. */
async function main(): Promise<void> {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { ns: { type: 'string', default: 'default' } } });
  const [command, token] = positionals;
  switch (command) {
    case 'attach': {
      const { attach } = await import('./attach/attach.ts');
      return attach(workerHome(values.ns));
    }
    case 'tunnel': {
      const { runTunnel } = await import('./attach/tunnel-end.ts');
      return runTunnel(token ?? '');
    }
    case 'daemon': {
      const { runDaemon } = await import('./daemon/daemon.ts');
      await runDaemon(workerHome(values.ns));
      return;
    }
    case 'stop': {
      const { stopDaemon } = await import('./attach/stop-daemon.ts');
      const wasRunning = await stopDaemon(workerHome(values.ns));
      process.stdout.write(wasRunning ? 'stopped\n' : 'no daemon runs\n');
      return;
    }
    case 'version':
      process.stdout.write(
        `${JSON.stringify({ agent: AGENT_HASH, node: process.version, platform: process.platform, arch: process.arch })}\n`,
      );
      return;
    default:
      process.stderr.write(USAGE);
      process.exitCode = 2;
  }
}

main().catch((error: unknown) => {
  process.stderr.write(`helix-worker: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
});
