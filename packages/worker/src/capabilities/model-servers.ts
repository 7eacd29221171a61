/** Servers of language models that people run on their machines, at the address they have unless told otherwise. */
const KNOWN_SERVERS = {
  ollama: { url: 'http://127.0.0.1:11434', question: '/api/version' },
  'lm-studio': { url: 'http://127.0.0.1:1234', question: '/v1/models' },
} as const;

const ANSWER_WITHIN_MS = 500;

/** @returns name → base URL of those that answered with JSON */
export async function findModelServers(): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  await Promise.all(
    Object.entries(KNOWN_SERVERS).map(async ([name, { url, question }]) => {
      try {
        const answer = await fetch(url + question, { signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
        await answer.json();
        if (answer.ok) found[name] = url;
      } catch {
        // Nobody there.
      }
    }),
  );
  return found;
}
