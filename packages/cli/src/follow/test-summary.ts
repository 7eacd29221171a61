import type { TestReport } from '@helixcode/protocol/test/test-result';
import { countOf, formatMs } from '../output/amounts.ts';
import type { Style } from '../output/style.ts';
import { oneLine, severalLines } from '../output/text-width.ts';

const MESSAGE_LINES = 6;

/** What a person wants to know at the end: every failure with its place and the beginning of its message, then the numbers. */
export function renderTestSummary(report: TestReport, style: Style): string[] {
  const { glyphs } = style;
  const lines: string[] = [];
  for (const failure of report.failures) {
    const place = `${failure.file ?? failure.unit}${failure.line === undefined ? '' : `:${failure.line}`}`;
    lines.push(`${style.red(glyphs.failed)} ${style.bold(oneLine(failure.name || failure.unit))}  ${style.dim(oneLine(place))}`);
    const message = severalLines(failure.message.trimEnd());
    lines.push(...message.slice(0, MESSAGE_LINES).map((line) => `    ${line}`));
    if (message.length > MESSAGE_LINES)
      lines.push(style.dim(`    ${glyphs.ellipsis} ${countOf(message.length - MESSAGE_LINES, 'more line')}`));
    lines.push('');
  }
  if (report.flaky.length > 0) {
    lines.push(style.yellow(`${countOf(report.flaky.length, 'flaky test')} (failed, then passed at the same commit):`));
    lines.push(...report.flaky.map((test) => `  ${oneLine(test.unit)}  ${oneLine(test.name)}`), '');
  }
  return [...lines, ...renderTotals(report, style)];
}

function renderTotals(report: TestReport, style: Style): string[] {
  const { totals } = report;
  const isGood = totals.failed + totals.errors === 0;
  const counts = [
    totals.failed > 0 && style.red(`${totals.failed} failed`),
    totals.errors > 0 && style.red(`${countOf(totals.errors, 'file')} not run to the end`),
    style.green(`${totals.passed} passed`),
    totals.skipped > 0 && `${totals.skipped} skipped`,
    totals.flaky > 0 && style.yellow(`${totals.flaky} flaky`),
  ].filter((part) => part !== false);
  const speed = report.wallMs > 0 ? report.serialMs / report.wallMs : 1;
  return [
    `${isGood ? style.green(style.glyphs.done) : style.red(style.glyphs.failed)} ${counts.join(', ')}  (${countOf(totals.tests, 'test')} in ${countOf(totals.units, 'file')}, ${report.runner})`,
    `  ${formatMs(report.wallMs)}, ${speed.toFixed(1)} times as fast as one after the other (${formatMs(report.serialMs)})`,
    `  ${countOf(report.shards, 'shard')} on ${countOf(report.slots, 'slot')} of ${report.workers.map(oneLine).join(', ') || 'no worker'}, ${Math.round(report.utilisation * 100)} % busy`,
    ...(report.lineCoverage === undefined ? [] : [`  ${(report.lineCoverage * 100).toFixed(1)} % of lines covered`]),
  ];
}
