/**
 * - `lost`: something handed in, done or said that the books do not have, or not to its end.
 * - `duplicated`: something that they have, or that was done, twice.
 * - `false success`: a success without the exit status that makes it one.
 * - `left behind`: a process, folder or checkout that nothing needs any more.
 * - `broken`: anything else that must not be.
 */
export type FindingKind = 'lost' | 'duplicated' | 'false success' | 'left behind' | 'broken';

/** Something that is not as it must be. */
export interface Finding {
  kind: FindingKind;
  /** The tree it belongs to, by the name it was handed in under, or the place. */
  where: string;
  what: string;
}

export function countOf(findings: readonly Finding[], kind: FindingKind): number {
  return findings.filter((finding) => finding.kind === kind).length;
}
