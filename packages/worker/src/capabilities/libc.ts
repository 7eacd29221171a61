import { readdirSync } from 'node:fs';
import { askProgram } from './ask-program.ts';

/** @returns the machine's own C library: `glibc-2.36`, `musl-1.2.3`, `none`; on macOS `system` */
export async function findLibc(path: string): Promise<string> {
  if (process.platform !== 'linux') return 'system';
  const glibc = /^glibc (\S+)/m.exec((await askProgram('getconf', ['GNU_LIBC_VERSION'], path)) ?? '')?.[1];
  if (glibc) return `glibc-${glibc}`;
  for (const folder of ['/lib64', '/lib']) {
    for (const name of namesIn(folder)) {
      const loader = `${folder}/${name}`;
      // Both answer on their own; musl's loader calls it a wrong use.
      if (/^ld-linux.*\.so/.test(name)) {
        const version = /version (\d+\.\d+)/.exec((await askProgram(loader, ['--version'], path)) ?? '')?.[1];
        if (version) return `glibc-${version}`;
      }
      if (/^ld-musl-.*\.so/.test(name)) {
        const version = /^Version (\S+)/m.exec((await askProgram(loader, [], path, { acceptsFailure: true })) ?? '')?.[1];
        if (version) return `musl-${version}`;
      }
    }
  }
  return 'none';
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
