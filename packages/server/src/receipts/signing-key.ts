import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { chmod, link, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Signs receipts. The private half stays in its file. */
export interface SigningKey {
  id: string;
  /** PEM (SPKI). */
  publicKey: string;
  /** Ed25519, base64. */
  sign(text: string): string;
}

/** The key `receipts.key` of the data folder, beside `secret.key`; the first call makes it, readable by its user only. */
export async function openSigningKey(folder: string): Promise<SigningKey> {
  const path = join(folder, 'receipts.key');
  const privateKey = (await readKey(path)) ?? (await makeKey(path));
  const publicKey = createPublicKey(privateKey);
  return {
    id: createHash('sha256')
      .update(publicKey.export({ type: 'spki', format: 'der' }))
      .digest('hex')
      .slice(0, 16),
    publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    sign: (text) => sign(null, Buffer.from(text, 'utf8'), privateKey).toString('base64'),
  };
}

async function readKey(path: string): Promise<KeyObject | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const key = createPrivateKey(text);
  if (key.asymmetricKeyType !== 'ed25519') throw new Error(`${path} is not an Ed25519 key`);
  await chmod(path, 0o600);
  return key;
}

async function makeKey(path: string): Promise<KeyObject> {
  const text = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' });
  // Written aside and linked into place: nobody reads half a key, and of two that start at once one wins.
  const draft = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`;
  await writeFile(draft, text, { mode: 0o600, flag: 'wx', flush: true });
  try {
    await link(draft, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    await rm(draft, { force: true });
  }
  const made = await readKey(path);
  if (!made) throw new Error(`${path} was removed while it was made`);
  return made;
}
