import type { Db } from '../db/db.ts';

/** What a server seals so that others can see whether they have the same key. */
export async function readKeyCheck(db: Db, name: string): Promise<Buffer | undefined> {
  const { rows } = await db.query<{ sealed: Buffer }>(`select sealed from secrets where name = $1`, [name]);
  return rows[0]?.sealed;
}

/** @returns what is kept: of two that come at once, the first one's; with `replace` the new one */
export async function keepKeyCheck(db: Db, name: string, sealed: Uint8Array, replace: boolean): Promise<Buffer> {
  const { rows } = await db.query<{ sealed: Buffer }>(
    `insert into secrets (name, sealed) values ($1, $2)
     on conflict (name) do update set sealed = case when $3 then excluded.sealed else secrets.sealed end returning sealed`,
    [name, sealed, replace],
  );
  if (!rows[0]) throw new Error('the check of the key was not written');
  return rows[0].sealed;
}

/** Secrets beside the check itself. */
export async function countSecrets(db: Db, keyCheck: string): Promise<number> {
  const { rows } = await db.query<{ count: number }>(`select count(*)::int as count from secrets where name <> $1`, [keyCheck]);
  return rows[0]?.count ?? 0;
}

/** @returns what is kept under the name: what was there, unless it is replaced */
export async function keepFact(db: Db, name: string, value: string, replace: boolean): Promise<string> {
  const { rows } = await db.query<{ value: string }>(
    `insert into fleet_facts (name, value) values ($1, $2)
     on conflict (name) do update set value = case when $3 then excluded.value else fleet_facts.value end returning value`,
    [name, value, replace],
  );
  return rows[0]?.value ?? value;
}
