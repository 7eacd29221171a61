import type { ErrorFact } from '@helixcode/protocol/errors';
import type { ServerId } from '@helixcode/protocol/ids';
import type { Db } from '../db/db.ts';

export async function insertCall(db: Db, call: { id: string; server: ServerId; name: string; args: object }): Promise<void> {
  await db.query(`insert into server_calls (id, to_server, name, arguments) values ($1, $2, $3, $4)`, [
    call.id,
    call.server,
    call.name,
    JSON.stringify(call.args),
  ]);
}

/** Takes what is asked of a server; nobody gets the same call again. */
export async function takeCalls(db: Db, server: ServerId): Promise<{ id: string; name: string; arguments: unknown }[]> {
  const { rows } = await db.query<{ id: string; name: string; arguments: unknown }>(
    `update server_calls set taken_at = now() where to_server = $1 and taken_at is null returning id, name, arguments`,
    [server],
  );
  return rows;
}

export async function answerCall(db: Db, id: string, said: { answer: unknown } | { failure: object }): Promise<void> {
  await db.query(`update server_calls set answer = $2, failure = $3, answered_at = now() where id = $1`, [
    id,
    'answer' in said ? JSON.stringify(said.answer) : null,
    'failure' in said ? JSON.stringify(said.failure) : null,
  ]);
}

/** Reads an answer and removes the call. @returns `undefined` while there is none */
export async function takeAnswer(db: Db, id: string): Promise<{ answer: unknown; failure: ErrorFact | null } | undefined> {
  const { rows } = await db.query<{ answer: unknown; failure: ErrorFact | null }>(
    `delete from server_calls where id = $1 and answered_at is not null returning answer, failure`,
    [id],
  );
  return rows[0];
}

/** Calls whose asker did not wait for the answer. */
export async function deleteOldCalls(db: Db): Promise<void> {
  await db.query(`delete from server_calls where asked_at < now() - interval '1 hour'`);
}
