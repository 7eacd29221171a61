import type { JsonObject } from '@helixcode/llm/model-port';
import { CodedError } from '@helixcode/protocol/errors';
import { boundText } from '../output/bound-output.ts';
import { failed, type ToolContext, type ToolOutcome } from './tool.ts';
import { findTool } from './tool-set.ts';

/**
 * Makes one call that the loop asked for.
 *
 * @param input as the loop checked it
 * @throws whatever is no outcome of the call: a lost link, an abort, a bug. Whether the call did something is then unknown
 */
export async function runCall(call: { tool: string; input: JsonObject }, context: ToolContext): Promise<ToolOutcome> {
  const tool = findTool(call.tool);
  if (tool === undefined) throw new Error(`the loop asked for ${call.tool}, which is no tool`);
  try {
    const outcome = await tool.run(call.input, context);
    return { ...outcome, text: boundText(outcome.text.toWellFormed()).text };
  } catch (error) {
    if (!(error instanceof CodedError) || !error.code.startsWith('workspace.') || !isRefusal(error)) throw error;
    return failed(error.next === undefined ? error.message : `${error.message}; ${error.next}`);
  }
}

/** What the workspace refuses has changed nothing; that it failed says nothing of what it did before. */
function isRefusal({ code }: CodedError): boolean {
  return code !== 'workspace.failed' && code !== 'workspace.setup_failed';
}
