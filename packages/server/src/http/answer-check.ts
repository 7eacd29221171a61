import { isDeepStrictEqual } from 'node:util';
import type { Route } from '@helixcode/protocol/api/routes';
import { z } from 'zod';

/**
 * Compares an answer, as the caller will read it, with what the route promises.
 *
 * @throws Error naming the operation and the difference: a fault of the handler, never of the caller
 */
export function checkAnswer(operation: string, route: Route, json: string): void {
  if (!(route.answer instanceof z.ZodType)) return;
  const answer: unknown = JSON.parse(json);
  const { success, data, error } = route.answer.safeParse(answer);
  if (!success) throw new Error(`the answer of ${operation} does not fit its schema: ${z.prettifyError(error)}`);
  if (!isDeepStrictEqual(data, answer)) throw new Error(`the answer of ${operation} has keys its schema does not know: ${json}`);
}
