import { z } from 'zod';
import { parseJson } from './run-output.ts';
import type { ProjectFiles } from './test-runner.ts';

const names = z.record(z.string(), z.string()).catch({});

const packageJson = z.object({
  scripts: names,
  dependencies: names,
  devDependencies: names,
  optionalDependencies: names,
  packageManager: z.string().optional().catch(undefined),
  workspaces: z.unknown().optional(),
  mocha: z.unknown().optional(),
  jest: z.unknown().optional(),
});
export type PackageJson = z.infer<typeof packageJson>;

/** The package.json in `folder` (the root when absent); `undefined` where there is none or it is no JSON object. */
export async function readPackageJson(files: ProjectFiles, folder = ''): Promise<PackageJson | undefined> {
  const text = await files.read(folder === '' ? 'package.json' : `${folder}/package.json`);
  return text === undefined ? undefined : packageJson.safeParse(parseJson(text)).data;
}

export function dependsOn(manifest: PackageJson, name: string): boolean {
  return [manifest.dependencies, manifest.devDependencies, manifest.optionalDependencies].some((list) => Object.hasOwn(list, name));
}
