import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const KEY_BYTES = 32;
const IV_BYTES = 12;
const TAG_BYTES = 16;
/** First byte of what is sealed: how the rest is to be read. */
const FORMAT_AES_256_GCM = 1;

/** Keeps secrets unreadable for whoever has the database, or a backup of it, but not the key file. */
export interface SecretBox {
  /** @param name what the secret belongs to, e.g. `worker:<id>:password`; the same must be given to open it */
  seal(name: string, secret: string): Buffer;
  /** @throws Error when it was sealed with another key or for another name, or was altered */
  open(name: string, sealed: Uint8Array): string;
}

/** Uses the key `secret.key` of the data folder; the first call makes it, readable by its user only. */
export async function openSecretBox(folder: string): Promise<SecretBox> {
  const key = await readKey(join(folder, 'secret.key'));
  return {
    seal(name, secret) {
      const iv = randomBytes(IV_BYTES);
      const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(Buffer.from(name));
      const content = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final()]);
      return Buffer.concat([Buffer.of(FORMAT_AES_256_GCM), iv, cipher.getAuthTag(), content]);
    },

    open(name, sealed) {
      const bytes = Buffer.from(sealed);
      if (bytes[0] !== FORMAT_AES_256_GCM || bytes.length < 1 + IV_BYTES + TAG_BYTES)
        throw new Error(`the secret ${name} is not in a format that this version knows`);
      const iv = bytes.subarray(1, 1 + IV_BYTES);
      const tag = bytes.subarray(1 + IV_BYTES, 1 + IV_BYTES + TAG_BYTES);
      const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: TAG_BYTES });
      decipher.setAAD(Buffer.from(name)).setAuthTag(tag);
      try {
        return Buffer.concat([decipher.update(bytes.subarray(1 + IV_BYTES + TAG_BYTES)), decipher.final()]).toString('utf8');
      } catch (cause) {
        throw new Error(`the secret ${name} was not sealed with the key of this data folder`, { cause });
      }
    },
  };
}

async function readKey(path: string): Promise<Buffer> {
  const found = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (found) {
    if (found.length !== KEY_BYTES) throw new Error(`${path} is not a key of ${KEY_BYTES} bytes`);
    return found;
  }
  await mkdir(join(path, '..'), { recursive: true, mode: 0o700 });
  // Written aside and linked into place: of two that start at once one wins, and nobody reads half a key.
  const draft = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`;
  await writeFile(draft, randomBytes(KEY_BYTES), { mode: 0o600, flag: 'wx', flush: true });
  try {
    await link(draft, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    await rm(draft, { force: true });
  }
  return readKey(path);
}
