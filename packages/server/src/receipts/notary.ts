import type { ProjectId, ServerId, TaskId } from '@helixcode/protocol/ids';
import { canonicalJson } from '@helixcode/protocol/receipt/canonical-json';
import type { SignedReceipt } from '@helixcode/protocol/receipt/receipt';
import type { Logger } from 'pino';
import type { Db } from '../db/db.ts';
import { findReceipt, forgetOwed, listOwed, type OwedRow, publishKey, saveReceipt } from './receipt-sql.ts';
import { viewReceipt } from './receipt-view.ts';
import type { SigningKey } from './signing-key.ts';
import { writeReceipt } from './write-receipt.ts';

/** Signing waits this long for more to sign. */
const REST_MS = 100;
const AT_ONCE = 100;
/** Another server may be the one that has the commit; one that could not be signed is looked at again after this. */
const TRY_AGAIN_MS = 60_000;

/** Signs what the tasks are owed. */
export interface Notary {
  key: SigningKey;
  /** Something has happened: there may be something to sign. */
  wake(): void;
  /** The newest receipt of a completed task, signed now if it was not yet; `undefined` where it gets none. */
  receiptOf(task: TaskId): Promise<SignedReceipt | undefined>;
  stop(): Promise<void>;
}

export interface NotaryDeps {
  db: Db;
  log: Logger;
  server: ServerId;
  key: SigningKey;
  /** Hash of the tree of a commit. Rejects when the commit is not here. */
  treeOf(project: ProjectId, commit: string): Promise<string>;
}

export async function openNotary(deps: NotaryDeps): Promise<Notary> {
  const { db, log, key } = deps;
  await publishKey(db, key.id, key.publicKey, deps.server);
  const putOff = new Map<string, number>();
  let timer: NodeJS.Timeout | undefined;
  let turn: Promise<void> = Promise.resolve();
  let isStopped = false;

  async function signOwed(): Promise<void> {
    const now = performance.now();
    for (const [id, untilMs] of putOff) if (untilMs <= now) putOff.delete(id);
    for (const owed of await listOwed(db, undefined, AT_ONCE, [...putOff.keys()])) {
      try {
        await signOne(deps, owed);
      } catch (error) {
        putOffSigning(owed, error);
      }
    }
  }

  function putOffSigning(owed: OwedRow, error: unknown): void {
    putOff.set(owed.id, performance.now() + TRY_AGAIN_MS);
    log.warn({ err: error, receipt: owed.id, task: owed.task_id }, 'a receipt could not be signed; it is tried again');
  }

  function wake(): void {
    if (isStopped) return;
    timer ??= setTimeout(() => {
      timer = undefined;
      turn = turn.then(signOwed).catch((error: unknown) => log.warn({ err: error }, 'receipts could not be signed; it is tried again'));
    }, REST_MS);
  }
  // What was owed when the last server ended.
  wake();

  return {
    key,
    wake,
    async receiptOf(task) {
      // One that cannot be signed here may be signed by another server.
      for (const owed of await listOwed(db, task, AT_ONCE)) await signOne(deps, owed).catch((error: unknown) => putOffSigning(owed, error));
      const row = await findReceipt(db, task);
      return row && viewReceipt(row);
    },
    async stop() {
      isStopped = true;
      clearTimeout(timer);
      await turn;
    },
  };
}

async function signOne({ db, log, server, key, treeOf }: NotaryDeps, owed: OwedRow): Promise<void> {
  const { commit } = owed.spec as { commit: string };
  const issuedAt = new Date();
  const body = await writeReceipt(db, owed, { server, issuedAt, tree: await treeOf(owed.project_id, commit) });
  if (!body) {
    log.info({ task: owed.task_id }, 'a task gets no receipt: its command began at a checkpoint, or nothing ran');
    return forgetOwed(db, owed.id);
  }
  const text = canonicalJson(body);
  await saveReceipt(db, owed.id, { body: text, signature: key.sign(text), keyId: key.id, issuedAt });
}
