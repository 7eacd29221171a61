import type { Conversation } from '@helixcode/agent/conversation';
import { readArguments, textOf, toolCallsOf } from '@helixcode/llm/model-port';
import type { ApprovalView, SessionEntryView, SessionView } from '@helixcode/protocol/api/session-views';
import type { SessionState } from '@helixcode/protocol/session/session';
import type { TaskRow } from '../tasks/task-row.ts';
import type { AgentResult } from './agent-result.ts';
import type { ApprovalRow } from './approval-sql.ts';
import type { EntryRow, SessionRow } from './session-sql.ts';

/** Of what a tool said; the whole is on the books. */
const TOOL_CHARACTERS = 4_000;

export function viewSession(
  row: SessionRow,
  given: { task: TaskRow; conversation: Conversation; asked: ApprovalRow | undefined; worker: string | undefined },
): SessionView {
  const { task, conversation, asked, worker } = given;
  const result = task.state === 'completed' ? (task.result as AgentResult | null) : null;
  return {
    id: row.id,
    task: task.id,
    project: row.project_id,
    title: row.title,
    mode: row.mode,
    model: row.settings.model ?? row.settings.firstModel,
    state: stateOf(task, asked),
    ...waiting(task, asked),
    base: row.base_commit,
    head: row.head,
    ...(row.fork_of && { forkOf: row.fork_of }),
    ...(worker !== undefined && { worker }),
    turns: conversation.turns,
    inputTokens: conversation.usage.inputTokens,
    outputTokens: conversation.usage.outputTokens,
    ...(conversation.costUsd !== undefined && { costUsd: conversation.costUsd }),
    ...(result && {
      ending: {
        text: result.text,
        proof: result.proof,
        receipts: result.receipts,
        changedFiles: result.changedFiles,
        ...(result.commit !== undefined && { commit: result.commit }),
        ...(result.plan !== undefined && { plan: result.plan }),
      },
    }),
    ...(task.failure && { failure: task.failure }),
    createdAt: row.created_at.toISOString(),
  };
}

function stateOf({ state }: TaskRow, asked: ApprovalRow | undefined): SessionState {
  switch (state) {
    case 'completed':
      return 'done';
    case 'failed':
    case 'cancelled':
    case 'paused':
      return state;
    case 'running':
      return asked ? 'parked' : 'running';
    default:
      return 'waiting';
  }
}

function waiting(task: TaskRow, asked: ApprovalRow | undefined): { waitsFor?: string } {
  if (task.finished_at) return {};
  const why = asked?.question ?? task.pause?.reason;
  return why === undefined ? {} : { waitsFor: why };
}

export function viewEntry({ id, parent_id, at, type, outcome, facts, checkpoint }: EntryRow): SessionEntryView {
  return {
    id,
    ...(parent_id !== null && { parent: parent_id }),
    at: at.toISOString(),
    type,
    ...(facts.replayed && { replayed: true }),
    ...(checkpoint && { checkpoint: { task: checkpoint.task, number: checkpoint.number } }),
    ...detailsOf(outcome),
  };
}

function detailsOf(outcome: EntryRow['outcome']): Partial<SessionEntryView> {
  switch (outcome.type) {
    case 'began': {
      const [goal] = outcome.conversation.entries;
      return {
        text: goal?.message.role === 'user' ? goal.message.parts.map((part) => (part.type === 'text' ? part.text : '')).join('') : '',
      };
    }
    case 'person_said':
      return { text: outcome.text };
    case 'model_answered':
    case 'summed_up': {
      const { message, usage, costUsd } = outcome.answer;
      const calls = toolCallsOf(message).map((call) => {
        const read = readArguments(call);
        return { callId: call.callId, tool: call.tool, input: 'input' in read ? read.input : call.argumentsText };
      });
      return {
        text: textOf(message),
        ...(calls.length > 0 && { calls }),
        inputTokens: usage.inputTokens,
        outputTokens: usage.outputTokens,
        ...(costUsd !== undefined && { costUsd }),
      };
    }
    case 'model_failed':
      return { failure: outcome.error, text: outcome.error.message };
    case 'tools_started':
      return {};
    case 'tool_finished':
      return { callId: outcome.callId, isError: outcome.outcome.isError, text: outcome.outcome.text.slice(0, TOOL_CHARACTERS) };
    case 'tool_unknown':
      return { callId: outcome.callId, isError: true, text: outcome.why };
    case 'evidence_given':
      return { receipts: outcome.receipts.map(({ id, command, exitCode }) => ({ id, command, exitCode })) };
    case 'parked':
      return { failure: outcome.reason, text: outcome.reason.message };
    case 'resumed':
      return {};
  }
}

export function viewApproval(row: ApprovalRow): ApprovalView {
  return {
    id: row.id,
    session: row.session_id,
    task: row.task_id,
    kind: row.kind,
    question: row.question,
    options: row.details.options ?? [],
    ...(row.details.plan !== undefined && { plan: row.details.plan }),
    askedAt: row.asked_at.toISOString(),
    ...(row.answered_at && {
      answeredAt: row.answered_at.toISOString(),
      answer: { isAccepted: row.is_accepted ?? false, ...(row.answer !== null && { text: row.answer }) },
    }),
  };
}
