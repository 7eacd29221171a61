import { CodedError } from '@helixcode/protocol/errors';
import { isId } from '@helixcode/protocol/ids';
import type { SignedReceipt } from '@helixcode/protocol/receipt/receipt';
import type { Db } from '../db/db.ts';
import type { Handlers } from '../http/handler.ts';
import type { Notary } from './notary.ts';
import { findReceipt, listKeys, listReceipts } from './receipt-sql.ts';
import { viewReceipt } from './receipt-view.ts';

type ReceiptRoutes = 'receipts.list' | 'receipts.get' | 'receipts.key';

export function receiptHandlers({ db, notary }: { db: Db; notary: Pick<Notary, 'key' | 'receiptOf'> }): Pick<Handlers, ReceiptRoutes> {
  const readReceipt = async (id: string): Promise<SignedReceipt | undefined> => {
    const row = await findReceipt(db, id);
    return row && viewReceipt(row);
  };

  return {
    'receipts.list': async ({ query }) => {
      const rows = await listReceipts(db, { task: query.task, before: query.cursor, limit: query.limit + 1 });
      const items = rows.slice(0, query.limit);
      const last = items.at(-1);
      return { items: items.map(viewReceipt), ...(rows.length > query.limit && last && { cursor: last.id }) };
    },

    'receipts.get': async ({ params }) => {
      const { receipt: id } = params;
      // A task that has only just completed may not have its receipt yet.
      const found = isId('task', id) ? await notary.receiptOf(id) : await readReceipt(id);
      if (!found)
        throw new CodedError('receipt.not_found', `there is no receipt ${id}, and none of a task of that id`, {
          next: 'helix receipts list',
        });
      return found;
    },

    'receipts.key': async () => ({
      current: notary.key.id,
      items: (await listKeys(db)).map(({ id, public_key, server_id, created_at }) => ({
        id,
        publicKey: public_key,
        server: server_id,
        createdAt: created_at.toISOString(),
      })),
    }),
  };
}
