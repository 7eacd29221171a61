// Lists the test files of a vitest that has no `list --filesOnly` (before 2.1), the way its own run would find them.
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const args = process.argv.slice(2);
const options = { watch: false, run: true };
const filters = [];
for (let at = 0; at < args.length; at += 1) {
  const [, name, , value] = /^--(root|config|dir|project|mode)(=(.*))?$/s.exec(args[at]) ?? [];
  if (name) options[name] = value ?? args[(at += 1)];
  else if (!args[at].startsWith('-')) filters.push(args[at]);
}
const { createVitest } = await import(pathToFileURL(createRequire(`${process.cwd()}/`).resolve('vitest/node')).href);
const vitest = await createVitest('test', options);
const specs = await vitest.globTestFiles(filters);
writeFileSync(`${process.env.HELIX_OUTPUT_DIR}/list.json`, JSON.stringify(specs.map((spec) => ({ file: spec[1] ?? spec.moduleId }))));
await vitest.close();
process.exit(0);
