import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { onTestFinished } from 'vitest';

/** A checkout with these files, not yet committed; removed after the test. Returns its root. */
export function givenTree(files: Record<string, string | string[]>): string {
  const root = mkdtempSync(path.join(tmpdir(), 'helixcode-check-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  execFileSync('git', ['init', '--quiet', root]);
  for (const [file, content] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
    writeFileSync(path.join(root, file), typeof content === 'string' ? content : content.join('\n'));
  }
  return root;
}
