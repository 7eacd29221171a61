import { posix } from 'node:path';
import { relativeToRoot } from './run-output.ts';

/** Paths are at most 400 characters here: what comes in is not ours, and must not make the search slow. */
const FRAMES: readonly RegExp[] = [
  // JavaScript: `at name (file:///a/b c.ts:3:14)`
  /\(((?:file:\/\/)?[^()\n]{1,400}?\.\w{1,8}):(\d{1,9}):\d{1,9}\)/g,
  // `at /a/b c.ts:3:14`, `at async file:///a/b.ts:3:14`, and vitest's `❯ test/b.ts:3:14`
  /(?:^|\n)[ \t]*(?:at |❯ |@)(?:async )?((?:file:\/\/)?[^()\n]{1,400}?\.\w{1,8}):(\d{1,9}):\d{1,9}(?=\n|$| )/g,
  // Python: `File "a/b.py", line 3`, and pytest's `a/b.py:3: AssertionError`
  /\bFile "([^"\n]{1,400})", line (\d{1,9})/g,
  /(?:^|\n)([^\s:][^:\n]{0,400}\.py):(\d{1,9}):/g,
  // Rust: `panicked at src/a.rs:3:14:`, before 1.73 `panicked at 'message', src/a.rs:3:14`, and the compiler's ` --> src/a.rs:3:14`
  /(?:panicked at |', |--> )([^\s:']{1,400}\.rs):(\d{1,9}):\d{1,9}/g,
  // Go: `    a_test.go:3: message`, and in a panic `\t/a/b_test.go:3 +0x1d`
  /(?:^|\n)[ \t]*([^\s:]{1,400}\.go):(\d{1,9})(?=:|[ \n]|$)/g,
];

const FOREIGN = /(?:^|\/)(?:node_modules|site-packages|dist-packages|\.cargo|\.venv|venv|vendor|rustc)\/|^node:|<frozen/;

interface Frame {
  file: string;
  line: number;
  at: number;
}

/**
 * Finds the file and line of a failure in the text of a stack of JavaScript, Python, Go or Rust: the first frame in
 * the unit itself, else the innermost one in the project. Frames of dependencies and of the language do not count.
 *
 * @param of.root where the checkout lay on the worker; without it only relative paths are found
 * @param of.unit a file, or for Go the folder of a package, against which bare file names are resolved
 */
export function findLocation(stack: string, of: { root: string | undefined; unit: string }): { file: string; line: number } | undefined {
  const frames: Frame[] = [];
  for (const pattern of FRAMES) {
    for (const { 1: path = '', 2: line = '', index } of stack.matchAll(pattern)) {
      const bareGoName = path.endsWith('.go') && !path.includes('/');
      const file = bareGoName ? posix.join(of.unit, path) : relativeToRoot(decodePath(path), of.root);
      if (file !== undefined && Number(line) > 0 && !FOREIGN.test(file)) frames.push({ file, line: Number(line), at: index });
    }
  }
  frames.sort((a, b) => a.at - b.at);
  const ours = frames.filter(({ file }) => file === of.unit || posix.dirname(file) === of.unit);
  // Python prints the innermost frame last, everything else prints it first.
  const best = pick(ours) ?? pick(frames);
  return best && { file: best.file, line: best.line };
}

function pick(frames: readonly Frame[]): Frame | undefined {
  return frames[0]?.file.endsWith('.py') ? frames.at(-1) : frames[0];
}

function decodePath(path: string): string {
  if (!path.startsWith('file://')) return path;
  try {
    return decodeURIComponent(path.slice('file://'.length));
  } catch {
    return path.slice('file://'.length);
  }
}
