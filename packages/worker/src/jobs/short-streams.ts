import { readFileSync } from 'node:fs';
import { INLINE_STREAM_BYTES, type JobReport } from '@helixcode/protocol/worker/job';
import type { JobFolder } from './job-folder.ts';

/** All short streams of one report together: a job that left a thousand small files gets channels for most of them. */
const INLINE_TOTAL_BYTES = 64 * 1024;

/** @returns the report of a job that is over, with the content of its short streams in it */
export function withShortStreams(folder: JobFolder, report: JobReport): JobReport {
  const inline: Record<string, string> = {};
  let totalBytes = 0;
  for (const [stream, length] of Object.entries(report.streams)) {
    if (length === 0 || length > INLINE_STREAM_BYTES || totalBytes + length > INLINE_TOTAL_BYTES) continue;
    const path = folder.streamFile(stream);
    const content = path === undefined ? undefined : readIfPossible(path);
    // An escaped process may still write to it: what is beyond the reported length does not count.
    if (!content || content.length < length) continue;
    inline[stream] = content.subarray(0, length).toString('base64');
    totalBytes += length;
  }
  return totalBytes === 0 ? report : { ...report, inline };
}

function readIfPossible(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch {
    return undefined; // Then it goes through a channel, which says why it cannot.
  }
}
