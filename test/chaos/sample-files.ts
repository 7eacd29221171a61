import { countingCommand } from './counting-job.ts';

/** Test files whose only test passes, and the one whose test fails. */
export const GOOD_SPECS = ['spec/good/a.x', 'spec/good/b.x', 'spec/good/c.x', 'spec/good/d.x', 'spec/good/e.x'];
export const BAD_SPEC = 'spec/bad/f.x';
const LINES_OF_A_SPEC = 10;

/**
 * The repository of the load: sources to build, and a suite with a test tool of its own, in which each file is one test.
 * @param effects as jobs know it
 */
export function sampleFiles(effects: string): Record<string, string> {
  const report = [
    'status=0; mkdir -p out; echo "<testsuite>" >out/report.xml',
    'for f in "$@"; do if grep -q bad "$f"; then status=1; inner="<failure message=\'is bad\'/>"; else inner=; fi',
    "echo \"<testcase file='$f' name='is good' time='0.1'>$inner</testcase>\" >>out/report.xml; done",
    'echo "</testsuite>" >>out/report.xml',
  ].join('\n');
  return {
    'src/lib.txt': 'lib\n',
    'src/app.txt': 'app\n',
    'docs/page.txt': 'page\n',
    'run-specs.sh': `${countingCommand({ effects, lines: `$(($# * ${LINES_OF_A_SPEC}))`, exitCode: '$status', work: report })}\n`,
    ...Object.fromEntries(GOOD_SPECS.map((name) => [name, 'good\n'])),
    [BAD_SPEC]: 'bad\n',
  };
}
