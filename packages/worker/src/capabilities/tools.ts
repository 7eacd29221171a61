import { findProgram } from '../home/program-path.ts';
import { askProgram } from './ask-program.ts';

/** So many programs are asked at a time: the machine has other work. */
const ASKED_AT_ONCE = 3;

/**
 * How each program is made to say its version. A program that is on the path and cannot do its work is no capability:
 * `docker` and `podman` are asked for what only works when they do.
 */
const QUESTIONS: Record<string, readonly string[]> = {
  bun: ['--version'],
  bwrap: ['--version'],
  cargo: ['--version'],
  clang: ['--version'],
  cmake: ['--version'],
  curl: ['--version'],
  deno: ['--version'],
  docker: ['info', '--format', '{{.ServerVersion}}'],
  dotnet: ['--version'],
  'g++': ['--version'],
  gcc: ['--version'],
  git: ['--version'],
  go: ['version'],
  gradle: ['--version'],
  java: ['-version'],
  make: ['--version'],
  mvn: ['--version'],
  ninja: ['--version'],
  node: ['--version'],
  npm: ['--version'],
  php: ['--version'],
  pip3: ['--version'],
  pnpm: ['--version'],
  podman: ['info', '--format', '{{.Version.Version}}'],
  pytest: ['--version'],
  python3: ['--version'],
  ruby: ['--version'],
  rustc: ['--version'],
  swift: ['--version'],
  tar: ['--version'],
  uv: ['--version'],
  yarn: ['--version'],
  zig: ['version'],
  zstd: ['--version'],
};

/** @returns program → its version, of those that ran */
export async function findTools(path: string): Promise<Record<string, string>> {
  const waiting = Object.keys(QUESTIONS).filter((name) => findProgram(name, path));
  const found: [string, string][] = [];
  const askNext = async (): Promise<void> => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
      const version = await toolVersion(name, path);
      if (version !== undefined) found.push([name, version]);
    }
  };
  await Promise.all(Array.from({ length: ASKED_AT_ONCE }, askNext));
  return Object.fromEntries(found.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** @returns `undefined` when the program does not run */
export async function toolVersion(name: string, path: string): Promise<string | undefined> {
  const answer = await askProgram(name, QUESTIONS[name] ?? ['--version'], path);
  return answer === undefined ? undefined : versionIn(answer);
}

/** @returns the first number with a dot, with what belongs to it (`24.21.0`, `1.24rc1`), else the first line */
export function versionIn(answer: string): string | undefined {
  const version = /\d+\.\d+[\w.+-]*/.exec(answer)?.[0] ?? answer.trim().split('\n')[0];
  return version ? version.slice(0, 80) : undefined;
}
