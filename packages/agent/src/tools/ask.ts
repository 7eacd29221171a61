import { z } from 'zod';
import { boundText } from '../output/bound-output.ts';
import { defineTool, succeeded } from './tool.ts';

export const ask = defineTool({
  name: 'ask',
  description: 'Ask a person what you cannot find out or may not decide. The work waits for the answer.',
  effect: 'host',
  waitsForPerson: true,
  input: z.strictObject({ question: z.string().min(1), options: z.array(z.string().min(1)).optional() }),
  async run({ question, options = [] }, { host, signal }) {
    const { answer } = await host.ask({ question, options }, signal);
    return succeeded(`A person answers: ${boundText(answer).text}`);
  },
});
