import type { Conversation } from '@helixcode/agent/conversation';
import { nextStep } from '@helixcode/agent/loop';
import { type ModelAnswer, takeOutcome } from '@helixcode/agent/take-outcome';
import { collect, type ModelEvent, type ModelPort, type ModelRequest } from '@helixcode/llm/model-port';
import { recordingPort } from '@helixcode/llm/replay/record';
import type { ModelProviders } from '../models/model-providers.ts';
import type { EntryRow, SessionRow } from './session-sql.ts';

/** What a model was asked and answered on the way of a session, as lines that can be played again. A summary is among them, a failure is not. */
export async function transcriptOf(
  providers: Pick<ModelProviders, 'target'>,
  session: SessionRow,
  way: readonly EntryRow[],
): Promise<string> {
  const [first, ...rest] = way;
  if (first?.outcome.type !== 'began') throw new Error(`session ${session.id} has no beginning`);
  const { port, model } = await providers.target(session.settings.model ?? session.settings.firstModel);
  let transcript = '';
  let answer: ModelAnswer | undefined;
  const recording = recordingPort(
    speaking(port, () => answer),
    (lines) => void (transcript += lines),
  );
  let conversation: Conversation = first.outcome.conversation;
  for (const { outcome } of rest) {
    if (outcome.type === 'began') continue;
    const request = outcome.type === 'model_answered' || outcome.type === 'summed_up' ? requestOf(conversation, outcome.atMs) : undefined;
    if (request && 'answer' in outcome) {
      answer = outcome.answer;
      await collect(recording.stream({ ...request, model }, new AbortController().signal));
    }
    conversation = takeOutcome(conversation, outcome);
  }
  return transcript;
}

function requestOf(conversation: Conversation, atMs: number): ModelRequest | undefined {
  const step = nextStep(conversation, atMs);
  return step.do === 'call_model' ? step.request : undefined;
}

/** The port, as if it gave the answer that it once gave. */
function speaking(port: ModelPort, answerOf: () => ModelAnswer | undefined): ModelPort {
  return {
    ...port,
    provider: port.provider,
    capabilities: (model) => port.capabilities(model),
    price: (model) => port.price(model),
    validateConfig: (signal) => port.validateConfig(signal),
    async *stream(): AsyncGenerator<ModelEvent> {
      const answer = answerOf();
      if (!answer) throw new Error('nothing was answered');
      for (const part of answer.message.parts) {
        if (part.type === 'text') yield { type: 'text', text: part.text };
        if (part.type === 'tool_call') yield { type: 'tool_call', call: part };
      }
      yield { type: 'done', ...answer, warnings: [] };
    },
  };
}
