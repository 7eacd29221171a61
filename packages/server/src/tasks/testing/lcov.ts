import { readRoot, readText, relativeToRoot } from './run-output.ts';
import type { RunOutput } from './test-runner.ts';

interface FileCoverage {
  lines: Map<number, number>;
  /** `line,name` → hits */
  functions: Map<string, number>;
  /** `line,block,branch` → hits; -1 where its block never ran (written `-`) */
  branches: Map<string, number>;
}

export interface MergedCoverage {
  /** One record per file, sorted by path. */
  lcov: string;
  linesFound: number;
  linesHit: number;
  /** Share of lines that ran (0–1), `undefined` where no line is known. */
  lineCoverage: number | undefined;
}

/**
 * Adds up lcov tracefiles of parts of a suite: a line's hits are the sum over the parts. Lines that cannot be read
 * are passed over.
 *
 * @see geninfo(1), section FILES, for the records `SF FN FNDA BRDA DA`
 */
export function mergeLcov(tracefiles: Iterable<string>): MergedCoverage {
  const merged = new Map<string, FileCoverage>();
  for (const text of tracefiles) {
    let file: FileCoverage | undefined;
    const lineOfFunction = new Map<string, string>();
    for (const line of text.split(/\r?\n/)) {
      const [, tag, value = ''] = /^([A-Z]+):(.*)$/.exec(line) ?? [];
      if (tag === 'SF') {
        file = merged.get(value) ?? { lines: new Map(), functions: new Map(), branches: new Map() };
        merged.set(value, file);
        lineOfFunction.clear();
      } else if (line === 'end_of_record') file = undefined;
      else if (file) readRecord(file, tag, value, lineOfFunction);
    }
  }
  return writeMerged(merged);
}

function readRecord(file: FileCoverage, tag: string | undefined, value: string, lineOfFunction: Map<string, string>): void {
  if (tag === 'DA') {
    const [, line, hits] = /^(\d{1,9}),(\d{1,15})(?:,|$)/.exec(value) ?? [];
    if (line !== undefined && hits !== undefined) file.lines.set(Number(line), (file.lines.get(Number(line)) ?? 0) + Number(hits));
  } else if (tag === 'FN') {
    const [, line, name] = /^(\d{1,9}),(?:\d+,)?(.+)$/.exec(value) ?? [];
    if (line === undefined || name === undefined) return;
    lineOfFunction.set(name, line);
    const key = `${line},${name}`;
    file.functions.set(key, file.functions.get(key) ?? 0);
  } else if (tag === 'FNDA') {
    const [, hits, name = ''] = /^(\d{1,15}),(.+)$/.exec(value) ?? [];
    const key = `${lineOfFunction.get(name) ?? ''},${name}`;
    if (hits !== undefined && file.functions.has(key)) file.functions.set(key, (file.functions.get(key) ?? 0) + Number(hits));
  } else if (tag === 'BRDA') {
    const [, key, hits] = /^(\d{1,9},[^,]+,.+),(-|\d{1,15})$/.exec(value) ?? [];
    if (key === undefined) return;
    const before = file.branches.get(key) ?? -1;
    file.branches.set(key, hits === '-' ? before : Math.max(before, 0) + Number(hits));
  }
}

function writeMerged(merged: ReadonlyMap<string, FileCoverage>): MergedCoverage {
  const out: string[] = [];
  let linesFound = 0;
  let linesHit = 0;
  for (const [path, file] of [...merged].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const hit = (counts: ReadonlyMap<unknown, number>) => [...counts.values()].filter((count) => count > 0).length;
    out.push('TN:', `SF:${path}`);
    for (const key of file.functions.keys()) out.push(`FN:${key}`);
    for (const [key, hits] of file.functions) out.push(`FNDA:${hits},${key.slice(key.indexOf(',') + 1)}`);
    out.push(`FNF:${file.functions.size}`, `FNH:${hit(file.functions)}`);
    for (const [key, hits] of file.branches) out.push(`BRDA:${key},${hits < 0 ? '-' : hits}`);
    out.push(`BRF:${file.branches.size}`, `BRH:${hit(file.branches)}`);
    for (const [line, hits] of [...file.lines].sort(([a], [b]) => a - b)) out.push(`DA:${line},${hits}`);
    out.push(`LF:${file.lines.size}`, `LH:${hit(file.lines)}`, 'end_of_record');
    linesFound += file.lines.size;
    linesHit += hit(file.lines);
  }
  return {
    lcov: out.length === 0 ? '' : `${out.join('\n')}\n`,
    linesFound,
    linesHit,
    lineCoverage: linesFound === 0 ? undefined : linesHit / linesFound,
  };
}

/** The records of files in the project, their paths made relative to the root; others are dropped. */
export function relativeLcov(text: string, root: string | undefined): string {
  return text
    .split(/(?<=^end_of_record\r?\n)/m)
    .flatMap((record) => {
      const path = /^SF:(.*?)\r?$/m.exec(record)?.[1];
      const relative = path === undefined ? undefined : relativeToRoot(path, root);
      return relative === undefined ? [] : [record.replace(/^SF:.*$/m, () => `SF:${relative}`)];
    })
    .join('');
}

/** What a run left in `lcov.info`, as the part of `RunResults` it is. */
export async function readLcov(output: RunOutput): Promise<{ lcov?: string }> {
  const text = await readText(output, 'file:lcov.info');
  return text === '' ? {} : { lcov: relativeLcov(text, await readRoot(output)) };
}
