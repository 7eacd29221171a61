import { connect } from 'node:net';

/**
 * The process that git talks to in place of a server: it hands its stdin and stdout to the daemon. It ends when the
 * daemon has closed and everything is written; each direction may end before the other.
 */
export function runTunnel(token: string): void {
  const path = process.env['HELIX_TUNNEL_SOCKET'];
  if (!path) throw new Error('HELIX_TUNNEL_SOCKET is not set: `tunnel` is started by git for the daemon');
  const socket = connect({ path, allowHalfOpen: true });
  socket.on('error', (error) => {
    process.stderr.write(`helix-worker tunnel: ${error.message}\n`);
    process.exitCode = 1;
    process.stdin.destroy();
  });
  socket.write(`tunnel ${token}\n`);
  process.stdin.pipe(socket);
  socket.pipe(process.stdout);
  process.stdout.on('error', () => socket.destroy());
  // git keeps our stdin open until it has our last byte, so the end of the answer is the end.
  socket.on('end', () => process.stdin.destroy());
  socket.on('close', () => process.stdin.destroy());
}
