import { parseArgs } from 'node:util';
import { CodedError, ERROR_CODES } from '@helixcode/protocol/errors';
import { NO_ROOM_STATUS } from '@helixcode/protocol/worker/daemon-status';
import { AGENT_HASH } from './agent-hash.ts';
import { isDiskFull } from './home/disk-space.ts';
import { workerHome } from './home/worker-home.ts';

const USAGE = `usage: helix-worker <command> [--ns <worker id>]
       helix-worker join [URL] [--token-stdin]

  attach   join stdin and stdout with the daemon of this worker, starting it where none runs
  daemon   serve this worker until told to stop
  stop     end the daemon; its jobs go on
  join     dial the server of that URL ($HELIX_SERVER_URL when absent) and keep this machine linked to it
  tunnel   (started by git for the daemon)
  version  print what this program is, as JSON

To join for the first time a machine needs an enrolment token: in HELIX_ENROL_TOKEN, in the file that HELIX_ENROL_TOKEN_FILE
names, or on stdin. WORKER_CAPABILITIES holds labels its operator vouches for, separated by commas.

HELIX_WORKER_HOME names the folder of all files; without it, it is ~/.helix-worker.
`;

/** Each command loads only what it needs: `attach` and `tunnel` start for every link and every fetch. */
async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { ns: { type: 'string', default: 'default' }, 'token-stdin': { type: 'boolean', default: false } },
  });
  const [command, argument] = positionals;
  switch (command) {
    case 'attach': {
      const { attach } = await import('./attach/attach.ts');
      return attach(workerHome(values.ns));
    }
    case 'tunnel': {
      const { runTunnel } = await import('./attach/tunnel-end.ts');
      return runTunnel(argument ?? '');
    }
    case 'join': {
      const [{ joinServer }, { takeEnrolmentToken }] = await Promise.all([import('./join/join.ts'), import('./join/enrolment-token.ts')]);
      return joinServer({
        url: argument ?? process.env['HELIX_SERVER_URL'] ?? '',
        enrolment: await takeEnrolmentToken(values['token-stdin']),
        labels: process.env['WORKER_CAPABILITIES'],
        say: (line) => process.stderr.write(`${line}\n`),
      });
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
  const coded = error instanceof CodedError ? error : undefined;
  process.stderr.write(`helix-worker: ${error instanceof Error ? error.message : String(error)}${coded ? ` (${coded.code})` : ''}\n`);
  if (coded?.next !== undefined) process.stderr.write(`next: ${coded.next}\n`);
  process.exit(coded ? ERROR_CODES[coded.code].exit : isDiskFull(error) ? NO_ROOM_STATUS : 1);
});
