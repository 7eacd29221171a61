import type { ReceiptBody, SignedReceipt } from '@helixcode/protocol/receipt/receipt';
import type { ReceiptRow } from './receipt-sql.ts';

/** As it is stored, true or not: who reads it checks the signature. */
export function viewReceipt({ body, signature, key_id }: ReceiptRow): SignedReceipt {
  return { receipt: JSON.parse(body) as ReceiptBody, keyId: key_id, signature };
}
