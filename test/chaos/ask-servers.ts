import { setTimeout as sleep } from 'node:timers/promises';
import { type Client, createClient } from '@helixcode/client/http-client';
import { CodedError } from '@helixcode/protocol/errors';
import type { ChaosServer } from './chaos-server.ts';

/** So long a server that is paused is waited for. */
const ANSWERS_WITHIN_MS = 5_000;
const ASK_AGAIN_MS = 100;
const PATIENCE_MS = 60_000;

type Question<Answer> = (client: Client, signal: AbortSignal) => Promise<Answer>;

export interface AskServers {
  /** Asks any server that is well, and another or again while none answers. What is refused is refused. */
  ask<Answer>(question: Question<Answer>): Promise<Answer>;
  /** Asks once. @throws also where nobody knows whether it was done: see `isUnanswered` */
  askOnce<Answer>(question: Question<Answer>): Promise<Answer>;
}

export function askServers(servers: readonly ChaosServer[]): AskServers {
  let turn = 0;
  const askOnce: AskServers['askOnce'] = (question) => {
    const well = servers.filter((server) => server.isWell);
    const server = well[turn++ % well.length] ?? servers[turn++ % servers.length];
    if (!server) throw new Error('there is no server to ask');
    const client = createClient({ baseUrl: server.url, token: server.process.token });
    return question(client, AbortSignal.timeout(ANSWERS_WITHIN_MS));
  };
  return {
    askOnce,
    async ask(question) {
      for (const deadlineMs = performance.now() + PATIENCE_MS; ; await sleep(ASK_AGAIN_MS)) {
        try {
          return await askOnce(question);
        } catch (error) {
          if (!isUnanswered(error) || performance.now() > deadlineMs) throw error;
        }
      }
    },
  };
}

/** Whether nobody knows if what was asked for was done. */
export function isUnanswered(error: unknown): boolean {
  if (error instanceof CodedError) return error.code === 'server.unreachable' || error.code === 'database.unavailable';
  return error instanceof Error && (error.name === 'TimeoutError' || error.name === 'AbortError');
}
