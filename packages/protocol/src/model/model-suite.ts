/** Trials of models: `coding` has them program, `tools` asks for calls of tools, `reasoning` for answers to questions. */
export const MODEL_SUITES = ['coding', 'tools', 'reasoning'] as const;
export type ModelSuite = (typeof MODEL_SUITES)[number];

/** Ways of reasoning that a suite of questions can be asked with; `none`: asked once, plainly. */
export const SUITE_STRATEGIES = ['none', 'chain_of_thought', 'tree_of_thoughts', 'self_reflection', 'progressive'] as const;
export type SuiteStrategy = (typeof SUITE_STRATEGIES)[number];
