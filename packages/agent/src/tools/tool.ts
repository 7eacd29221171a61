import type { JsonObject, ToolSpec } from '@helixcode/llm/model-port';
import { z } from 'zod';
import type { Workspace } from '../workspace.ts';
import type { AgentHost } from './agent-host.ts';

/** What a call gave, as plain data. */
export interface ToolOutcome {
  /** What the model reads; bounded. */
  text: string;
  isError: boolean;
  /** Files whose whole content the model knows from now on: the hash of it, or `absent`. */
  seen?: { path: string; hash: string }[];
  /** Files it read or changed, known wholly or in part. */
  touched?: string[];
  /** Folders whose AGENTS.md was looked for by this call; what was found is in the text. */
  instructedFolders?: string[];
  /** Of a plan: a person agreed to it. */
  isPlanAccepted?: boolean;
}

/**
 * What a call may do. `read`: changes nothing, so that several can run at a time and one whose outcome was lost can be run again. `write`, `run` and `host` are run
 * one by one, in their order, and never again.
 */
export type ToolEffect = 'read' | 'write' | 'run' | 'host';

export interface ToolContext {
  workspace: Workspace;
  host: AgentHost;
  /** Hash of each file whose whole content the model saw, as it saw it last, by path. */
  seen: Readonly<Record<string, string>>;
  /** Folders whose AGENTS.md the model knows, or that have none. */
  instructedFolders: readonly string[];
  /** The model only looks: what it is asked for is a plan. */
  isPlanning: boolean;
  signal: AbortSignal;
}

/** A tool as the loop keeps it; the type of its input stays inside. */
export interface Tool {
  name: string;
  effect: ToolEffect;
  /** A person is waited for: that time is no work. */
  waitsForPerson: boolean;
  spec: ToolSpec;
  /** The input as the tool takes it, or what is wrong with it. */
  check(input: JsonObject): { input: JsonObject } | { problem: string };
  /** @param input one that `check` gave. @throws CodedError `workspace.*` for what the model can mend; anything else is no outcome */
  run(input: JsonObject, context: ToolContext): Promise<ToolOutcome>;
}

/** Puts a tool together from the schema of its input and what it does. */
export function defineTool<Schema extends z.ZodObject>(tool: {
  name: string;
  description: string;
  effect: ToolEffect;
  waitsForPerson?: boolean;
  input: Schema;
  /** What a schema cannot say. */
  problemOf?(input: z.infer<Schema>): string | undefined;
  run(input: z.infer<Schema>, context: ToolContext): Promise<ToolOutcome>;
}): Tool {
  return {
    name: tool.name,
    effect: tool.effect,
    waitsForPerson: tool.waitsForPerson ?? false,
    spec: { name: tool.name, description: tool.description, inputSchema: leanSchema(tool.input) },
    check: (given) => {
      const read = tool.input.safeParse(given);
      if (!read.success) return { problem: tellIssues(tool.name, read.error) };
      const problem = tool.problemOf?.(read.data);
      return problem === undefined ? { input: read.data as JsonObject } : { problem };
    },
    run: (input, context) => tool.run(input as z.infer<Schema>, context),
  };
}

/** JSON Schema without what only costs tokens: which schema language it is, and the bounds of all integers. */
function leanSchema(schema: z.ZodObject): JsonObject {
  const { $schema: _, ...lean } = JSON.parse(
    JSON.stringify(z.toJSONSchema(schema, { io: 'input' }), (_key, value: unknown) =>
      value === Number.MAX_SAFE_INTEGER || value === Number.MIN_SAFE_INTEGER ? undefined : value,
    ),
  ) as JsonObject;
  return lean;
}

function tellIssues(tool: string, error: z.ZodError): string {
  const issues = error.issues.slice(0, 5).map(({ path, message }) => (path.length > 0 ? `${path.join('.')}: ${message}` : message));
  return `the arguments of ${tool} are wrong: ${issues.join('; ')}`;
}

export function succeeded(text: string, more: Omit<ToolOutcome, 'text' | 'isError'> = {}): ToolOutcome {
  return { text, isError: false, ...more };
}

export function failed(text: string, more: Omit<ToolOutcome, 'text' | 'isError'> = {}): ToolOutcome {
  return { text, isError: true, ...more };
}
