/**
 * The main job in one command: `npm run demo [-- agent] [-- --json] [-- --keep]`.
 *
 * Starts a server and three workers of its own and shows live how they run the suite of examples/sample-repo, or, with `agent`, how
 * an agent mends the bug in it while its worker and then the server are killed. Where sshd is installed, two of the workers are
 * reached by ssh on loopback ports. Ends everything it started; `--keep` leaves it running, to look around.
 */
import { parseArgs } from 'node:util';
import { showAgent } from './demo/agent-demo.ts';
import { showSuite } from './demo/suite-demo.ts';

const { values, positionals } = parseArgs({
  options: { json: { type: 'boolean', default: false }, keep: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const [what = 'suite', ...more] = positionals;
const shows = { suite: showSuite, agent: showAgent };
if (!(what in shows) || more.length > 0) {
  console.error(`there is no demo ${positionals.join(' ')}, expected agent or nothing: npm run demo -- agent`);
  process.exit(2);
}
if (!(await shows[what as keyof typeof shows]({ isJson: values.json, isKept: values.keep }))) process.exitCode = 1;
