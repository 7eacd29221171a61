import type { ModelEvent, ModelPort } from '../model-port.ts';
import { continuationOf, type Exchange, keptEvent, normalRequest, type Rewrite, type TranscriptHeader } from './transcript.ts';

/**
 * A provider that writes down what it is asked and what it answers, and is otherwise the one behind it. Only whole answers are written: a failure
 * is not worth playing again.
 *
 * @param write is given one line at a time, its line end included, the header with the first answer
 * @param rewrites what differs from run to run, or is nobody's business (keys, names of home folders), in requests and answers
 */
export function recordingPort(
  port: ModelPort,
  write: (line: string) => void | Promise<void>,
  options: { rewrites?: Rewrite[]; now?: () => Date } = {},
): ModelPort {
  const { rewrites = [], now = () => new Date() } = options;
  let isBegun = false;
  let last: Exchange | undefined;
  // One line after the other, also when several calls are under way.
  let written: Promise<void> = Promise.resolve();
  return {
    ...port,
    provider: port.provider,
    capabilities: (model) => port.capabilities(model),
    price: (model) => port.price(model),
    validateConfig: (signal) => port.validateConfig(signal),
    async *stream(request, signal): AsyncGenerator<ModelEvent> {
      const events: ReturnType<typeof keptEvent>[] = [];
      for await (const event of port.stream(request, signal)) {
        if (event.type !== 'error') events.push(keptEvent(event, rewrites));
        if (event.type === 'done') {
          const exchange = { request: normalRequest(request, rewrites), events: joined(events) };
          // A long conversation would otherwise be written down anew with each of its turns.
          const added = last && continuationOf(last, exchange.request);
          last = exchange;
          const lines: unknown[] = [added === undefined ? exchange : { continues: true, request: added, events: exchange.events }];
          if (!isBegun) lines.unshift(headerOf(port, request.model, now()));
          isBegun = true;
          written = written.then(() => write(lines.map((line) => `${JSON.stringify(line)}\n`).join('')));
          await written;
        }
        yield event;
      }
    },
  };
}

function headerOf(port: ModelPort, model: string, now: Date): TranscriptHeader {
  const { contextTokens, maxOutputTokens, tools, reasoning, images, structuredOutput } = port.capabilities(model);
  return {
    transcript: 1,
    provider: port.provider,
    recordedAt: now.toISOString(),
    capabilities: {
      ...(contextTokens !== undefined && { contextTokens }),
      ...(maxOutputTokens !== undefined && { maxOutputTokens }),
      tools,
      reasoning,
      images,
      structuredOutput,
    },
  };
}

/** Pieces of one text as one: a recording is read by people too. */
function joined(events: ReturnType<typeof keptEvent>[]): ReturnType<typeof keptEvent>[] {
  const whole: ReturnType<typeof keptEvent>[] = [];
  for (const event of events) {
    const last = whole.at(-1);
    if (event.type === 'text' && last?.type === 'text') last.text += event.text;
    else if (event.type === 'reasoning' && last?.type === 'reasoning') last.text += event.text;
    else if (event.type === 'tool_call_delta' && last?.type === 'tool_call_delta' && last.callId === event.callId)
      last.argumentsText += event.argumentsText;
    else whole.push({ ...event });
  }
  return whole;
}
