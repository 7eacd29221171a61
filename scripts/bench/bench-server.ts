import { givenHome, removeHome, removeServer, type ServerProcess, startServer } from '../../test/support/server-process.ts';

/** A server on a data folder of its own, without a trace once `cleanUp` has run. */
export async function benchServer(cleanUp: AsyncDisposableStack, env: Record<string, string> = {}): Promise<ServerProcess> {
  const home = givenHome();
  cleanUp.defer(() => removeHome(home));
  const server = await startServer(home, env);
  // An interrupt from the terminal reaches the server too: then it may be gone already.
  cleanUp.defer(() => removeServer(server).catch(() => {}));
  return server;
}
