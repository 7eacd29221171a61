/** Every kind of provider of models there is: a vendor, a server of one's own, or transcripts that are played. */
export const PROVIDER_KINDS = [
  'openai',
  'openai-chat',
  'anthropic',
  'gemini',
  'xai',
  'deepseek',
  'qwen',
  'mistral',
  'openrouter',
  'huggingface',
  'nvidia',
  'ollama',
  'llama-server',
  'openai-compatible',
  'replay',
] as const;
export type ProviderKind = (typeof PROVIDER_KINDS)[number];

export function isProviderKind(text: string): text is ProviderKind {
  return (PROVIDER_KINDS as readonly string[]).includes(text);
}

/** Whether the name of a kind says all. Of the others nobody can know the address, or the files. */
export function needsNoEntry(kind: ProviderKind): boolean {
  return kind !== 'openai-compatible' && kind !== 'replay';
}
