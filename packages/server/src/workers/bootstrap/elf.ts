/** The ELF facts that matter for shipping a program: 64 bit, little-endian, as on x64 and arm64. */
interface ElfHeader {
  programHeaders: { type: number; offset: number; fileSize: number }[];
}

const PT_INTERP = 3;
const SECTION_TABLE_OFFSET = 40;
const SECTION_COUNT = 60;
const SECTION_NAMES_INDEX = 62;

export function isElf64(content: Uint8Array): boolean {
  return content.length > 64 && Buffer.from(content.subarray(0, 6)).equals(Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1]));
}

function readHeader(content: Buffer): ElfHeader {
  const tableOffset = Number(content.readBigUInt64LE(32));
  const entryBytes = content.readUInt16LE(54);
  const entries = content.readUInt16LE(56);
  const programHeaders = Array.from({ length: entries }, (_, index) => {
    const at = tableOffset + index * entryBytes;
    return {
      type: content.readUInt32LE(at),
      offset: Number(content.readBigUInt64LE(at + 8)),
      fileSize: Number(content.readBigUInt64LE(at + 32)),
    };
  });
  return { programHeaders };
}

/** @returns the path of the loader that the program asks for, or `undefined` for a static one */
export function interpreterOf(content: Buffer): string | undefined {
  const interp = readHeader(content).programHeaders.find(({ type }) => type === PT_INTERP);
  return interp && content.toString('utf8', interp.offset, interp.offset + interp.fileSize - 1);
}

/**
 * Cuts off what a program does not need in order to run: the symbols and section headers behind the last byte that is
 * loaded. Of Node that is a seventh.
 *
 * @returns a copy
 */
export function cutUnloaded(content: Buffer): Buffer {
  const end = Math.max(...readHeader(content).programHeaders.map(({ offset, fileSize }) => offset + fileSize));
  const cut = Buffer.from(content.subarray(0, end));
  cut.writeBigUInt64LE(0n, SECTION_TABLE_OFFSET);
  cut.writeUInt16LE(0, SECTION_COUNT);
  cut.writeUInt16LE(0, SECTION_NAMES_INDEX);
  return cut;
}
