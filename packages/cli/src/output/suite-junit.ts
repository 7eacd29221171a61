import type { SuiteReportView } from '@helixcode/protocol/api/model-views';

/** The trials of a suite as JUnit XML: a suite for each model, a case for each trial. What was not tried any more is skipped. */
export function suiteJunit({ suite, strategy, models }: SuiteReportView): string {
  const what = strategy === undefined || strategy === 'none' ? suite : `${suite} (${strategy})`;
  const suites = models.map(({ model, trials, passed, items, failure }) => {
    const cases = items.map(({ name, problem, tookMs }) => {
      const attributes = `classname="${escaped(`${what}.${model}`)}" name="${escaped(name)}" time="${(tookMs / 1_000).toFixed(3)}"`;
      return problem === undefined
        ? `    <testcase ${attributes}/>\n`
        : `    <testcase ${attributes}>\n      <failure message="${escaped(problem)}"/>\n    </testcase>\n`;
    });
    const left = trials - items.length;
    if (left > 0) {
      const attributes = `classname="${escaped(`${what}.${model}`)}" name="${left} further trials" time="0"`;
      cases.push(`    <testcase ${attributes}>\n      <skipped message="${escaped(failure?.message ?? '')}"/>\n    </testcase>\n`);
    }
    const counts = `tests="${cases.length}" failures="${items.length - passed}" skipped="${left > 0 ? 1 : 0}"`;
    return `  <testsuite name="${escaped(`${what} ${model}`)}" ${counts}>\n${cases.join('')}  </testsuite>\n`;
  });
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n${suites.join('')}</testsuites>\n`;
}

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', '\n': '&#10;' };

/** Characters that XML cannot hold at all are left out. */
function escaped(text: string): string {
  return text
    .toWellFormed()
    .replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, '')
    .replace(/[&<>"\n]/g, (character) => ENTITIES[character] ?? '');
}
