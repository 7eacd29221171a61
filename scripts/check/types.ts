import { problemsOf, runTool } from './run-tool.ts';

/** Everything that `tsconfig.json` names type-checks. */
export async function checkTypes(): Promise<string[]> {
  const run = await runTool('tsc', ['-p', 'tsconfig.json', '--pretty', 'false']);
  const problems: string[] = [];
  for (const line of run.stdout.split('\n')) {
    const start = /^(\S.*?)\((\d+),\d+\): (.*)$/.exec(line);
    if (start) problems.push(`${start[1]}:${start[2]}: ${start[3]}`);
    // The compiler explains itself on indented lines below.
    else if (line.startsWith(' ') && problems.length > 0) problems.push(`${problems.pop()}\n${line}`);
  }
  return problemsOf('tsc', run, problems);
}
