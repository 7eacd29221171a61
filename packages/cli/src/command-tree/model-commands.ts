import { MODEL_SUITES, SUITE_STRATEGIES } from '@helixcode/protocol/model/model-suite';
import { buildCommand, buildRouteMap } from '@stricli/core';
import { amount, duration, share, text, wholeNumber } from './inputs.ts';

export const models = buildRouteMap({
  routes: {
    list: buildCommand({
      loader: () => import('../commands/models-list.ts'),
      parameters: {
        flags: {
          catalog: {
            kind: 'boolean',
            optional: true,
            withNegated: false,
            brief: 'Also every known model of the vendors whose key the server has',
          },
        },
      },
      docs: { brief: 'The models that can be asked, what for, and what they cost' },
    }),
    test: buildCommand({
      loader: () => import('../commands/models-test.ts'),
      parameters: {
        flags: {
          models: {
            kind: 'parsed',
            parse: text,
            variadic: ',',
            optional: true,
            placeholder: 'names',
            brief: 'Only these: provider/model, or a provider to check its key only',
          },
          suite: { kind: 'enum', values: MODEL_SUITES, optional: true, brief: 'Try each model with a suite instead of one question' },
          strategy: {
            kind: 'enum',
            values: SUITE_STRATEGIES,
            optional: true,
            brief: 'How the suite reasoning makes a model think; none when absent',
          },
          minPass: share('Exit 5 where fewer of the trials are passed: a share from 0 to 1'),
          minWellFormed: share('Exit 5 where fewer calls of tools are well-formed: a share from 0 to 1'),
          maxP95: duration('Exit 5 where 5 % of the calls of a model take longer'),
          maxUsd: amount('Exit 5 where the suite costs more US dollars, or its price is not known'),
          junit: { kind: 'parsed', parse: text, optional: true, placeholder: 'file', brief: 'Write the trials as JUnit XML' },
        },
      },
      docs: {
        brief: 'Ask each model one small question, or try it with a suite: does it work, how fast, at what cost',
        customUsage: [
          '',
          '--models anthropic/claude-sonnet-4-5,openai',
          '--suite tools --min-pass 0.8 --junit trials.xml',
          '--suite reasoning --strategy chain_of_thought',
        ],
      },
    }),
    fit: buildCommand({
      loader: () => import('../commands/models-fit.ts'),
      parameters: {
        flags: {
          context: {
            kind: 'parsed',
            parse: wholeNumber,
            optional: true,
            placeholder: 'tokens',
            brief: 'Length of context; 32768 when absent',
          },
          quantisation: {
            kind: 'parsed',
            parse: text,
            optional: true,
            placeholder: 'name',
            brief: 'As GGUF names it; of an installed model its own, else Q4_K_M',
          },
        },
        positional: {
          kind: 'tuple',
          parameters: [{ brief: 'An installed model, or a name with its size in it: qwen3:8b, 70b', parse: text, placeholder: 'model' }],
        },
      },
      docs: { brief: 'On which machines a local model would run' },
    }),
    pull: buildCommand({
      loader: () => import('../commands/models-pull.ts'),
      parameters: {
        flags: {
          provider: {
            kind: 'parsed',
            parse: text,
            optional: true,
            placeholder: 'name',
            brief: 'A provider of kind ollama; ollama when absent',
          },
        },
        positional: { kind: 'tuple', parameters: [{ brief: "As Ollama's library names it", parse: text, placeholder: 'model' }] },
      },
      docs: { brief: 'Download a model to an Ollama' },
    }),
    record: buildCommand({
      loader: () => import('../commands/models-record.ts'),
      parameters: {
        flags: {
          session: {
            kind: 'parsed',
            parse: text,
            optional: true,
            placeholder: 'id',
            brief: 'Write down what was said in this session, in place of asking',
          },
          prompt: { kind: 'parsed', parse: text, optional: true, placeholder: 'text', brief: 'What to ask' },
          model: { kind: 'parsed', parse: text, optional: true, placeholder: 'name', brief: 'provider/model; the default when absent' },
        },
        positional: { kind: 'tuple', parameters: [{ brief: 'File to write; must not exist', parse: text, placeholder: 'file' }] },
      },
      docs: { brief: 'Write a transcript that can be played again: of a session, or of one question to a model' },
    }),
  },
  docs: { brief: 'Models that agents ask' },
});

export const usage = buildCommand({
  loader: () => import('../commands/usage.ts'),
  parameters: {
    flags: {
      by: { kind: 'enum', values: ['run', 'user', 'model'], default: 'model', brief: 'What to add up by' },
      since: {
        kind: 'parsed',
        parse: text,
        optional: true,
        placeholder: 'date',
        brief: 'As 2026-11-01; the beginning of this month when absent',
      },
    },
  },
  docs: {
    brief: 'What models were asked, what it cost, and how the budgets stand',
    customUsage: ['--by run', '--by user --since 2026-11-01'],
  },
});
