import { listTree, readLines, repository } from './tree.ts';

/** Names of home folders that are nobody's: examples in documentation and tests. */
const EXAMPLE_USERS = ['ada', 'dev', 'helix', 'me', 'runner', 'u', 'user', 'you'];

const PRIVATE_TEXTS: { pattern: RegExp; what: string }[] = [
  { pattern: /(?<![\w.~-])\/root\/[\w.-]*/g, what: "a path in root's home folder" },
  {
    pattern: new RegExp(String.raw`(?<![\w.~-])\/(?:home|Users)\/(?!(?:${EXAMPLE_USERS.join('|')})\b)[A-Za-z][\w-]*`, 'g'),
    what: "a path in a developer's home folder",
  },
  { pattern: /-----BEGIN [A-Z ]*PRIVATE KEY-----/g, what: 'a private key' },
  { pattern: /\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{60,}|glpat-[\w-]{20,})\b/g, what: 'a token of a forge' },
  { pattern: /\bsk-(?:ant-|proj-)?[A-Za-z0-9_-]{32,}/g, what: 'a key of a model provider' },
  { pattern: /\bAKIA[A-Z0-9]{16}\b/g, what: 'an access key of a cloud' },
  { pattern: /\bxox[abprs]-[A-Za-z0-9-]{20,}/g, what: 'a token of a chat service' },
];

/**
 * The tree tells nothing of the machine it was written on, and holds no secret.
 *
 * @returns one `file:line: problem` per place; a secret itself is not repeated
 */
export function checkPrivateText(root = repository): string[] {
  return listTree(root).flatMap((file) =>
    readLines(root, file).flatMap((line, index) =>
      PRIVATE_TEXTS.flatMap(({ pattern, what }) =>
        [...line.matchAll(pattern)].map(([text]) => `${file}:${index + 1}: ${what}${text.startsWith('/') ? `: ${text}` : ''}`),
      ),
    ),
  );
}
