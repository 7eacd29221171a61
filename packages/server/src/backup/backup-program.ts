/**
 * What is done with a backup beside any running server: `verify <file>` and `restore <file> <data folder> [--replace]`.
 * Prints what it found as one line of JSON; an error as one on stderr.
 */
import { CodedError, ERROR_CODES } from '@helixcode/protocol/errors';
import { restoreBackup } from './restore-backup.ts';
import { verifyBackup } from './verify-backup.ts';

const [command, file = '', dataFolder = '', replace] = process.argv.slice(2);
try {
  const found = command === 'verify' ? await verifyBackup(file) : await restoreBackup(file, dataFolder, replace === '--replace');
  process.stdout.write(`${JSON.stringify(found)}\n`);
} catch (error) {
  const coded = error instanceof CodedError ? error : undefined;
  const fact = coded?.toFact() ?? { code: 'api.internal', message: String((error as Error)?.stack ?? error) };
  process.stderr.write(`${JSON.stringify({ error: fact })}\n`);
  process.exitCode = coded ? ERROR_CODES[coded.code].exit : 1;
}
