import { z } from 'zod';

/** What a rule can speak of. `read` and `write` are about files, whatever touches them. */
export const RULE_SUBJECTS = ['shell', 'read', 'write', 'run_tests', 'spawn'] as const;
export type RuleSubject = (typeof RULE_SUBJECTS)[number];

/**
 * `shell: git push`, `read: secrets/**`, `spawn`: a subject, and what of it. Only `shell`, `read` and `write` have more
 * than the subject.
 */
const rule = z
  .string()
  .regex(/^((shell|read|write)(: *\S.*)?|run_tests|spawn)$/, 'expected a rule such as "shell: npm publish", "read: secrets/**" or "spawn"');

/** Which calls of an agent run, wait for a person's word, or are refused. `deny` counts before `ask`, `ask` before `allow`. */
export const agentPermissions = z.strictObject({
  allow: z.array(rule).default([]).describe('Runs without a question, also what would be asked for otherwise'),
  ask: z.array(rule).default([]).describe('Waits for the word of a person'),
  deny: z.array(rule).default([]).describe('Never runs, whatever else is said'),
  commands: z
    .enum(['allow', 'ask'])
    .optional()
    .describe('Commands of which no rule speaks; when absent, they run in a sandbox and are asked for outside of one'),
});
export type AgentPermissions = z.infer<typeof agentPermissions>;

export const agentConfig = z.strictObject({
  permissions: agentPermissions.prefault({}),
  sandbox: z
    .strictObject({
      demand: z
        .enum(['full', 'none'])
        .default('none')
        .describe(
          'full: only workers with the label sandbox:full; none: shut in where the worker can, with more questions where it cannot',
        ),
      network: z.enum(['off', 'on']).default('on').describe('Whether commands in the sandbox reach the network'),
    })
    .prefault({}),
});
export type AgentConfig = z.infer<typeof agentConfig>;
