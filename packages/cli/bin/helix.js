#!/usr/bin/env node
// Plain JavaScript of an old kind: whatever Node starts this must get far enough to find a newer one.
import { spawn } from 'node:child_process';
import module from 'node:module';
import os from 'node:os';
import path from 'node:path';

const NODE_MAJOR = 24;

if (Number(process.versions.node.split('.')[0]) >= NODE_MAJOR) {
  // Keeps compiled code, and what is left of TypeScript files without their types, between two starts.
  const cache = process.env.XDG_CACHE_HOME || path.join(os.homedir(), '.cache');
  module.enableCompileCache(path.join(cache, 'helix', 'compiled'));
  const { main } = await import('../src/main.ts');
  await main(process.argv.slice(2));
} else {
  await runWithPackagedNode();
}

/** The npm package `node` holds a Node binary; it is installed with this program. */
async function runWithPackagedNode() {
  let node;
  try {
    node = path.join(path.dirname(module.createRequire(import.meta.url).resolve('node/package.json')), 'bin', 'node');
  } catch {
    process.stderr.write(
      `helix needs Node ${NODE_MAJOR} or newer; this is ${process.version}, and the npm package "node" is not installed\n` +
        `next: npm install node@${NODE_MAJOR}\n`,
    );
    process.exitCode = 1;
    return;
  }
  const child = spawn(node, process.argv.slice(1), { stdio: 'inherit' });
  // A terminal sends its signals to both processes; the child decides what they mean, and this one reports its end.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => signal !== 'SIGINT' && child.kill(signal));
  await new Promise((resolve) => {
    child.on('error', (error) => {
      process.stderr.write(`helix could not start ${node}: ${error.message}\nnext: npm rebuild node\n`);
      process.exitCode = 1;
      resolve();
    });
    child.on('exit', (code, signal) => {
      process.exitCode = code ?? 128 + (os.constants.signals[signal] ?? 0);
      resolve();
    });
  });
}
