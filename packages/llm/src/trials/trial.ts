import type { ModelPort } from '../model-port.ts';

/** Who is tried. */
export interface Candidate {
  port: ModelPort;
  model: string;
  signal: AbortSignal;
}

/** What a trial found. */
export interface Verdict {
  /** Why it was not passed, in a sentence; `undefined`: it was. */
  problem: string | undefined;
  /** Calls of tools that the model wrote, and how many of them could have been made as they were. */
  toolCalls?: { made: number; wellFormed: number };
}

/** One small piece of work with an answer that a program can judge. */
export interface Trial {
  /** Unique in its suite. */
  name: string;
  /** @throws CodedError of the port: no answer came, so that there is nothing to judge */
  run(candidate: Candidate): Promise<Verdict>;
}
