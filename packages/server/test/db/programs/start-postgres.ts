// Starts (or adopts) the database in the folder named by its argument, prints what it got as JSON, and stays.
import { startEmbeddedPostgres } from '@helixcode/server/db/embedded-postgres';

const { pid, port, adopted } = await startEmbeddedPostgres(process.argv[2] ?? '');
console.log(JSON.stringify({ pid, port, adopted }));
setInterval(() => {}, 60_000);
