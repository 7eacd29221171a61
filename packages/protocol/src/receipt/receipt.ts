import { z } from 'zod';
import { testTotals } from '../test/test-result.ts';

const time = z.string().describe('RFC 3339');
const worker = z.strictObject({ id: z.string(), name: z.string() });

/** What the server vouches for: that a task ran, on which tree, and what the workers measured. */
export const receiptBody = z.strictObject({
  /** Version of this form. */
  receipt: z.literal(1),
  id: z.string(),
  server: z.string(),
  project: z.strictObject({ id: z.string(), name: z.string() }),
  commit: z.string(),
  tree: z.string().describe('Hash of the tree of the commit: what was in the checkout'),
  task: z.string(),
  kind: z.enum(['shell', 'build', 'test']),
  command: z.string().describe('What ran; of a build each target and its command, of a test run the runner, its arguments and patterns'),
  specSha256: z.string().describe('SHA-256 of the canonical JSON of all that was asked for, environment and limits included'),
  /** Of a task that is one command. */
  attempt: z
    .strictObject({
      id: z.string(),
      worker,
      exitCode: z.number().int(),
      wallMs: z.number(),
      outputBytes: z.number().int().describe('Of stdout and stderr'),
    })
    .optional(),
  /** Of a task that was divided: what its parts did, repetitions included. */
  parts: z
    .strictObject({
      tasks: z.number().int(),
      reused: z.number().int().describe('Parts that did not run: an equal one had run before'),
      attempts: z.number().int(),
      exitCodes: z.record(z.string(), z.number().int()).describe('Attempts by the exit status they ended with'),
      workers: z.array(worker),
    })
    .optional(),
  tests: testTotals.optional(),
  startedAt: time,
  finishedAt: time,
  issuedAt: time,
});
export type ReceiptBody = z.infer<typeof receiptBody>;

/** A receipt as it is handed out, to be checked without the server. */
export const signedReceipt = z.strictObject({
  receipt: receiptBody,
  keyId: z.string(),
  signature: z.string().describe('Ed25519 over the canonical JSON of `receipt` in UTF-8, base64'),
});
export type SignedReceipt = z.infer<typeof signedReceipt>;

export const receiptKey = z.object({
  id: z.string().describe('First 16 hex digits of the SHA-256 of the public key in DER (SPKI)'),
  publicKey: z.string().describe('PEM'),
  server: z.string(),
  createdAt: time,
});
export type ReceiptKey = z.infer<typeof receiptKey>;
