import type { MachineFacts } from '@helixcode/protocol/worker/capabilities';
import { findProgram } from '../home/program-path.ts';
import { probeArgs } from '../sandbox/sandbox-command.ts';
import { askProgram } from './ask-program.ts';

/** A bwrap that is there and may do nothing is no sandbox: machines refuse user namespaces in more ways than can be asked for. It is made to do all of it. */
export async function findSandbox(path: string): Promise<MachineFacts['sandbox']> {
  const program = process.platform === 'linux' ? findProgram('bwrap', path) : undefined;
  return program !== undefined && (await askProgram(program, probeArgs(), path)) !== undefined ? 'full' : 'none';
}
