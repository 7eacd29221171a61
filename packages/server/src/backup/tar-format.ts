/** A tar archive is made of these. @see POSIX.1 pax, ustar format; sizes of 8 GiB and more in base 256, as GNU tar writes them */
export const BLOCK_BYTES = 512;

export interface TarEntry {
  /** With slashes, relative; a folder's without one at the end. */
  path: string;
  isFolder: boolean;
  /** Permission bits. */
  mode: number;
  bytes: number;
}

const OCTAL_LIMIT = 8 ** 11;

/** Bytes between the end of a content and the next header. */
export function paddingOf(bytes: number): number {
  return (BLOCK_BYTES - (bytes % BLOCK_BYTES)) % BLOCK_BYTES;
}

export function encodeHeader({ path, isFolder, mode, bytes }: TarEntry): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  const { name, prefix } = splitPath(isFolder ? `${path}/` : path);
  block.write(name, 0);
  block.write(octal(mode & 0o7777, 8), 100);
  block.write(octal(0, 8), 108);
  block.write(octal(0, 8), 116);
  if (bytes < OCTAL_LIMIT) block.write(octal(bytes, 12), 124);
  else {
    block[124] = 0x80;
    block.writeBigUInt64BE(BigInt(bytes), 128);
  }
  block.write(octal(0, 12), 136);
  block.write(isFolder ? '5' : '0', 156);
  block.write('ustar\0' + '00', 257);
  block.write(prefix, 345);
  block.write(`${checksumOf(block).toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

/** @returns `undefined` for the block of zeros that ends an archive. @throws Error saying what is wrong with the block */
export function decodeHeader(block: Buffer): TarEntry | undefined {
  if (block.every((byte) => byte === 0)) return undefined;
  if (Number.parseInt(block.toString('latin1', 148, 156), 8) !== checksumOf(block)) throw new Error('the checksum of a header is wrong');
  const type = String.fromCharCode(block[156] ?? 0);
  if (type !== '0' && type !== '5') throw new Error(`an entry has the unknown type ${JSON.stringify(type)}`);
  const [prefix, name] = [textAt(block, 345, 155), textAt(block, 0, 100)];
  const isLong = ((block[124] ?? 0) & 0x80) !== 0;
  const bytes = isLong ? Number(block.readBigUInt64BE(128)) : Number.parseInt(textAt(block, 124, 12), 8);
  if (!Number.isSafeInteger(bytes) || bytes < 0) throw new Error('the size of an entry cannot be read');
  return {
    path: (prefix === '' ? name : `${prefix}/${name}`).replace(/\/$/, ''),
    isFolder: type === '5',
    mode: Number.parseInt(textAt(block, 100, 8), 8) & 0o7777,
    bytes,
  };
}

/** 100 bytes for the name, 155 for the folders before it. */
function splitPath(path: string): { name: string; prefix: string } {
  if (Buffer.byteLength(path) <= 100) return { name: path, prefix: '' };
  for (let at = path.indexOf('/'); at >= 0; at = path.indexOf('/', at + 1)) {
    const [prefix, name] = [path.slice(0, at), path.slice(at + 1)];
    if (name !== '' && Buffer.byteLength(name) <= 100 && Buffer.byteLength(prefix) <= 155) return { name, prefix };
  }
  throw new Error(`the path ${path} is too long for an archive`);
}

function octal(value: number, width: number): string {
  return `${value.toString(8).padStart(width - 1, '0')}\0`;
}

function textAt(block: Buffer, start: number, length: number): string {
  const end = block.indexOf(0, start);
  return block.toString('utf8', start, end < 0 || end > start + length ? start + length : end);
}

/** The field itself counts as spaces. */
function checksumOf(block: Buffer): number {
  return block.reduce((sum, byte, index) => sum + (index >= 148 && index < 156 ? 32 : byte), 0);
}
