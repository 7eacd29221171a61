import type { AgentHost } from '../../src/tools/agent-host.ts';

/** A host of whom nothing is expected but what is given. */
export function quietHost(given: Partial<AgentHost> = {}): AgentHost {
  const unexpected = (what: string) => () => Promise.reject(new Error(`${what} was not expected`));
  return {
    runTests: unexpected('a run of tests'),
    showPlan: unexpected('a plan'),
    ask: unexpected('a question'),
    spawn: unexpected('an agent'),
    ...given,
  };
}
