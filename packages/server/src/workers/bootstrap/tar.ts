const BLOCK_BYTES = 512;

export interface TarFile {
  name: string;
  content: Buffer;
  isProgram: boolean;
}

/** An archive that every `tar` unpacks, equal for equal files: no times, no owners. @see POSIX.1 pax, ustar format */
export function tarOf(files: readonly TarFile[]): Buffer {
  const blocks = files.flatMap(({ name, content, isProgram }) => [
    header(name, content.length, isProgram),
    content,
    Buffer.alloc((BLOCK_BYTES - (content.length % BLOCK_BYTES)) % BLOCK_BYTES),
  ]);
  return Buffer.concat([...blocks, Buffer.alloc(2 * BLOCK_BYTES)]);
}

function header(name: string, size: number, isProgram: boolean): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  if (Buffer.byteLength(name) > 100) throw new Error(`${name} is too long for a tar header`);
  block.write(name, 0);
  block.write(isProgram ? '0000755\0' : '0000644\0', 100);
  block.write('0000000\0', 108);
  block.write('0000000\0', 116);
  block.write(`${size.toString(8).padStart(11, '0')}\0`, 124);
  block.write('00000000000\0', 136);
  block.write('        ', 148);
  block.write('0', 156);
  block.write('ustar\0' + '00', 257);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}
