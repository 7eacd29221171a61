import path from 'node:path';
import { problemsOf, runTool } from './run-tool.ts';
import { repository } from './tree.ts';

/** Layout and common mistakes by biome; what needs types, above all forgotten promises, by oxlint. Warnings count. */
export async function checkLint(): Promise<string[]> {
  const [biome, oxlint] = await Promise.all([runBiome(), runOxlint()]);
  return [...biome, ...oxlint];
}

async function runBiome(): Promise<string[]> {
  const run = await runTool('biome', [
    'check',
    '.',
    '--reporter=github',
    '--max-diagnostics=none',
    '--diagnostic-level=warn',
    '--error-on-warnings',
  ]);
  const problems = [...run.stdout.matchAll(/^::(?:error|warning) title=([^,]+),file=(.*?),line=(\d+),.*?::(.*)$/gm)];
  return problemsOf(
    'biome',
    run,
    problems.map(([, rule, file = '', line, text]) => {
      const place = `${path.relative(repository, path.resolve(repository, file))}:${line}`;
      return rule === 'format' ? `${place}: not laid out by \`npm run format\`` : `${place}: ${text} [${rule}]`;
    }),
  );
}

async function runOxlint(): Promise<string[]> {
  const run = await runTool('oxlint', ['--format=unix', '--deny-warnings']);
  const problems = [...run.stdout.matchAll(/^(\S.*?):(\d+):\d+: (.*) \[\w+\/(.*)\]$/gm)];
  return problemsOf(
    'oxlint',
    run,
    problems.map(([, file, line, text, rule]) => `${file}:${line}: ${text} [${rule}]`),
  );
}
