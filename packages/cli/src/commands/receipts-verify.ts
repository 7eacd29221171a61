import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { CodedError } from '@helixcode/protocol/errors';
import type { SignedReceipt } from '@helixcode/protocol/receipt/receipt';
import { connect } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';

interface Flags {
  key?: string;
}

/** The signature is checked here: of the server only the receipt and the public key are taken, and not even those where files are given. */
export default async function receiptsVerify(this: HelixContext, flags: Flags, given: string): Promise<void> {
  const { out } = this;
  const file = path.resolve(this.cwd, given);
  const signed = existsSync(file)
    ? await readReceipt(file)
    : await (await connect(this)).call('receipts.get', { params: { receipt: given } });
  const key = flags.key === undefined ? await keyOfServer(this, signed.keyId) : readKey(path.resolve(this.cwd, flags.key));

  const { canonicalJson } = await import('@helixcode/protocol/receipt/canonical-json');
  const bytes = Buffer.from(canonicalJson(signed.receipt), 'utf8');
  const { receipt } = signed;
  if (idOf(key) !== signed.keyId) throw forged(`receipt ${receipt.id} was signed with key ${signed.keyId}, not with ${idOf(key)}`);
  if (!verify(null, bytes, key, Buffer.from(signed.signature, 'base64')))
    throw forged(`receipt ${receipt.id} is not as key ${signed.keyId} signed it: it was changed, or never signed`);

  if (out.format !== 'text') return out.json({ ok: true, key: signed.keyId, receipt });
  out.line(`${receipt.id} is as the server signed it, with key ${signed.keyId}`);
  out.note(`${receipt.kind} ${receipt.task} completed at tree ${receipt.tree} (commit ${receipt.commit}) on ${receipt.finishedAt}`);
}

async function readReceipt(file: string): Promise<SignedReceipt> {
  const { signedReceipt } = await import('@helixcode/protocol/receipt/receipt');
  try {
    return signedReceipt.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch (cause) {
    throw new CodedError('receipt.forged', `${file} is not a receipt as a server writes them`, {
      next: 'helix receipts show <receipt> > receipt.json',
      cause,
    });
  }
}

async function keyOfServer(context: HelixContext, id: string): Promise<KeyObject> {
  const { items } = await (await connect(context)).call('receipts.key');
  const found = items.find((key) => key.id === id);
  if (!found) throw forged(`the server does not know key ${id}, with which the receipt is said to be signed`);
  return createPublicKey(found.publicKey);
}

function readKey(file: string): KeyObject {
  try {
    return createPublicKey(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new CodedError('cli.bad_usage', `${file} is not a public key in PEM`, { next: 'helix receipts key > server.pem', cause });
  }
}

function idOf(key: KeyObject): string {
  return createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest('hex')
    .slice(0, 16);
}

function forged(message: string): CodedError {
  return new CodedError('receipt.forged', message, { next: 'run the task again: its receipt is evidence, this is not' });
}
