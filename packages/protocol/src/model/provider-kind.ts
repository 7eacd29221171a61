/** Every kind of provider of models there is: a vendor, or a server of one's own. */
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
] as const;
export type ProviderKind = (typeof PROVIDER_KINDS)[number];

export function isProviderKind(text: string): text is ProviderKind {
  return (PROVIDER_KINDS as readonly string[]).includes(text);
}
