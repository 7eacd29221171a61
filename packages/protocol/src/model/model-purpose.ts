/** What a model is asked for; each may go to models of its own. `summary` shortens a conversation that has grown too long. */
export const MODEL_PURPOSES = ['agent', 'plan', 'refactor', 'fix', 'summary'] as const;
export type ModelPurpose = (typeof MODEL_PURPOSES)[number];
