import { buildCommand } from '@stricli/core';
import { text } from './inputs.ts';

export const helpOn = buildCommand({
  loader: () => import('../commands/help.ts'),
  parameters: {
    positional: { kind: 'array', parameter: { brief: 'exit-codes, environment, or a command', parse: text, placeholder: 'topic' } },
  },
  docs: { brief: 'Help on exit codes, on environment variables, or on a command' },
});

export const completion = buildCommand({
  loader: () => import('../commands/completion.ts'),
  parameters: { positional: { kind: 'tuple', parameters: [{ brief: 'bash, zsh or fish', parse: text, placeholder: 'shell' }] } },
  docs: {
    brief: 'Print a completion script for a shell',
    customUsage: ['bash > ~/.local/share/bash-completion/completions/helix', 'fish > ~/.config/fish/completions/helix.fish'],
  },
});
