/** Characters that look like ASCII ones, or like nothing, and are not the same: what is copied from documents and chats has them. */
const LOOK_ALIKES: readonly (readonly [RegExp, string])[] = [
  [/[\u2018\u2019\u201a\u201b\u2032\u02bc]/gu, "'"],
  [/[\u201c\u201d\u201e\u201f\u2033]/gu, '"'],
  [/[\u2010-\u2015\u2212]/gu, '-'],
  [/[\u00a0\u2000-\u200a\u202f\u205f\u3000]/gu, ' '],
  [/[\u200b-\u200d\u2060\ufeff\u00ad]/gu, ''],
  [/\u2026/gu, '...'],
  // Cyrillic and Greek letters that are drawn like Latin ones.
  [/[\u0430\u03b1]/gu, 'a'],
  [/\u0435/gu, 'e'],
  [/[\u043e\u03bf]/gu, 'o'],
  [/\u0440/gu, 'p'],
  [/\u0441/gu, 'c'],
  [/\u0445/gu, 'x'],
  [/\u0456/gu, 'i'],
];

/** The text as it looks: two texts that only a program can tell apart become one. For showing what is near, never for finding what to replace. */
export function asItLooks(text: string): string {
  return LOOK_ALIKES.reduce((seen, [pattern, by]) => seen.replace(pattern, by), text).normalize('NFKC');
}

/** Where two texts that look the same first differ, in words. */
export function tellLookAlike(inFile: string, asked: string): string | undefined {
  if (inFile === asked || asItLooks(inFile) !== asItLooks(asked)) return undefined;
  const found = [...inFile];
  const wanted = [...asked];
  const at = found.findIndex((character, index) => character !== wanted[index]);
  return `the file has ${tellCharacter(found[at])} where the asked text has ${tellCharacter(wanted[at === -1 ? found.length : at])}`;
}

function tellCharacter(character: string | undefined): string {
  if (character === undefined) return 'nothing';
  const code = `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;
  return /^[\p{L}\p{N}\p{P}\p{S}]$/u.test(character) ? `${code} (${character})` : code;
}
