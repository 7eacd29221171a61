// Tries to take the data folder named by its argument, prints `held` or the error's code, and stays.

import { CodedError } from '@helixcode/protocol/errors';
import { lockDataFolder } from '@helixcode/server/db/data-folder-lock';

try {
  lockDataFolder(process.argv[2] ?? '', { what: 'a test' });
  console.log('held');
} catch (error) {
  console.log(error instanceof CodedError ? error.code : String(error));
}
setInterval(() => {}, 60_000);
