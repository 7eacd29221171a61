import { PREAMBLE } from '@helixcode/protocol/worker/preamble';
import type { WorkerHome } from '../home/worker-home.ts';
import { connectDaemon } from './connect-daemon.ts';

/** A daemon that does not close after our side did is left alone after this time. */
const LEAVE_AFTER_MS = 5_000;

/** Joins our stdin and stdout with the daemon, until either side closes and everything is written. */
export async function attach(home: WorkerHome): Promise<void> {
  const socket = await connectDaemon(home);
  process.stdout.write(PREAMBLE);
  process.stdin.pipe(socket);
  socket.pipe(process.stdout);
  socket.on('end', () => socket.end());
  process.stdin.on('end', () => setTimeout(() => socket.destroy(), LEAVE_AFTER_MS).unref());
  process.stdin.on('error', () => socket.destroy());
  process.stdout.on('error', () => socket.destroy());
  socket.on('error', () => {}); // `close` follows.
  await new Promise<void>((resolve) => socket.on('close', () => resolve()));
  // Only our stdin may still be open; what is not yet on stdout keeps the process alive until it is.
  process.stdin.destroy();
}
