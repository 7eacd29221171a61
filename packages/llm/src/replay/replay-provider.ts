import { readFile } from 'node:fs/promises';
import { CodedError } from '@helixcode/protocol/errors';
import { nearestName } from '@helixcode/protocol/nearest-name';
import { FREE } from '../cost.ts';
import type { ModelPort } from '../model-port.ts';
import type { ProviderConfig } from '../providers/provider-config.ts';
import { nearestExchange } from './conversation-match.ts';
import { capabilitiesOf, playExchange, REPLAY_PROVIDER, refusedStream } from './replay.ts';
import { parseTranscript, type Transcript } from './transcript.ts';

/**
 * Transcripts as models: `replay/<name of the transcript>`. Files are read when the provider is opened.
 *
 * It keeps no place in a transcript: which answer is due is found from the request alone, by the conversation that it holds. So any number of runs
 * play one transcript, and a run that goes on at another server, or asks again after a crash, gets the answer it would have got.
 *
 * Every `done` is `replayed` and costs nothing. A request that was not recorded ends with `model.replay_differs`, naming the first difference.
 */
export async function replay({ transcripts = {} }: ProviderConfig): Promise<ModelPort> {
  const read = new Map(
    await Promise.all(Object.entries(transcripts).map(async ([name, file]) => [name, await readTranscript(name, file)] as const)),
  );
  const find = (name: string): Transcript | CodedError => read.get(name) ?? unknown(name, [...read.keys()]);
  return {
    provider: REPLAY_PROVIDER,

    async *stream(request, signal) {
      const transcript = find(request.model);
      if (transcript instanceof CodedError) return yield refusedStream(transcript);
      const found = nearestExchange(transcript, request);
      yield* found instanceof CodedError ? [refusedStream(found)] : playExchange(found, signal);
    },

    capabilities(model) {
      const transcript = read.get(model);
      return capabilitiesOf(transcript instanceof CodedError ? undefined : transcript?.header);
    },

    price: () => FREE,

    validateConfig: () =>
      Promise.resolve({
        problems: [...read.values()].filter((one) => one instanceof CodedError),
        isKeyChecked: false,
        models: [...read].flatMap(([name, one]) => (one instanceof CodedError ? [] : [name])),
      }),
  };
}

/** What is wrong with one file is told to who asks for it, and is no hindrance to the others. */
async function readTranscript(name: string, file: string): Promise<Transcript | CodedError> {
  try {
    return parseTranscript(await readFile(file, 'utf8'));
  } catch (cause) {
    const next = `mend providers.pool of helix.json or the file, and start the server again`;
    return new CodedError('model.config_invalid', `${REPLAY_PROVIDER}/${name}: ${file}: ${(cause as Error).message}`, { next, cause });
  }
}

function unknown(name: string, known: string[]): CodedError {
  const meant = nearestName(name, known);
  return new CodedError('model.unknown', `there is no transcript ${name}${meant === undefined ? '' : `; did you mean ${meant}?`}`, {
    next: 'name it in transcripts of the provider replay in helix.json: helix models list',
  });
}
