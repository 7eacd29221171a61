import type { JsonObject } from '@helixcode/llm/model-port';
import { CodedError, type ErrorCode } from '@helixcode/protocol/errors';
import { instructionFolders, readInstructions, tellInstructions } from '../context/instructions.ts';
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
    return await withInstructions({ ...outcome, text: outcome.text.toWellFormed() }, context);
  } catch (error) {
    if (!(error instanceof CodedError) || !error.code.startsWith('workspace.') || !isRefusal(error)) throw error;
    return failed(error.next === undefined ? error.message : `${error.message}; ${error.next}`);
  }
}

/** A call that touched files in a folder the model has not been in tells what the project says of that folder. */
async function withInstructions(outcome: ToolOutcome, { workspace, instructedFolders }: ToolContext): Promise<ToolOutcome> {
  const touched = new Set((outcome.touched ?? []).flatMap(instructionFolders));
  const folders = [...touched].filter((folder) => !instructedFolders.includes(folder));
  if (folders.length === 0) return outcome;
  const texts: string[] = [];
  for (const folder of folders) {
    const instructions = await readInstructions(workspace, folder);
    if (instructions !== undefined) texts.push(tellInstructions(instructions));
  }
  return { ...outcome, text: [outcome.text, ...texts].join('\n\n'), instructedFolders: folders };
}

/** What says nothing of what was done before it. */
const NO_REFUSALS: readonly ErrorCode[] = ['workspace.failed', 'workspace.setup_failed', 'workspace.gone', 'workspace.command_lost'];

/** What the workspace refuses has changed nothing; that it failed, or is gone, says nothing of what it did before. */
function isRefusal({ code }: CodedError): boolean {
  return !NO_REFUSALS.includes(code);
}
