import { estimateTokens } from '@helixcode/llm/cost';
import { expect, test } from 'vitest';
import { systemPrompt } from '../src/system-prompt.ts';
import { TOOLS, toolSpecs } from '../src/tools/tool-set.ts';

test('system prompt and the schemas of all tools are 8 KB at most, the prompt under 1,500 tokens', () => {
  for (const mode of ['work', 'plan'] as const) {
    const prompt = systemPrompt(mode);
    expect(estimateTokens(prompt)).toBeLessThan(1_500);
    expect(Buffer.byteLength(prompt) + Buffer.byteLength(JSON.stringify(TOOLS.map(({ spec }) => spec)))).toBeLessThanOrEqual(8 * 1024);
  }
});

test('a model is given one of the two tools for changing a part of a file', () => {
  const given = (model: string): string[] => toolSpecs('work', model).map(({ name }) => name);

  for (const model of ['claude-opus-4-5', 'gemini-3-pro', 'qwen3-coder', 'glm-o1-like']) expect(given(model)).toContain('edit');
  for (const model of ['gpt-5.2', 'openai/gpt-5.2-codex', 'o3']) expect(given(model)).toContain('apply_patch');
  for (const model of ['claude-opus-4-5', 'gpt-5.2'])
    expect(given(model).filter((name) => name === 'edit' || name === 'apply_patch')).toHaveLength(1);
});

test('schemas are objects that allow nothing they do not name', () => {
  for (const { spec } of TOOLS) expect(spec.inputSchema).toMatchObject({ type: 'object', additionalProperties: false });
});
