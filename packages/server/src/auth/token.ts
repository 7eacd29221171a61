import { hash, randomBytes } from 'node:crypto';

/** A secret scanner knows a leaked one by its beginning. */
const PREFIX = 'hlx_';
const FORM = /^hlx_[A-Za-z0-9_-]{43}$/;

/** Something to sign in with. */
export function newToken(): string {
  return newSecret(PREFIX);
}

/** 32 random bytes, behind what tells their kind. */
export function newSecret(prefix: string): string {
  return prefix + randomBytes(32).toString('base64url');
}

export function isToken(text: string): boolean {
  return FORM.test(text);
}

/** What is stored of a token, in base64. A fast hash is enough: nobody guesses 256 random bits. */
export function tokenHash(token: string): string {
  return hash('sha256', token, 'base64');
}
