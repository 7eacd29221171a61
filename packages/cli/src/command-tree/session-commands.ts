import { buildCommand, buildRouteMap } from '@stricli/core';
import { aboveZero, count, duration, session, submitting, text, wholeNumber } from './inputs.ts';

const following = {
  wait: duration('Follow for so long at most, e.g. 30s or 5m; then exit 6, and the agent goes on'),
  yes: {
    kind: 'boolean',
    optional: true,
    withNegated: false,
    brief: 'Agree to plans and permissions without asking; never to spending more',
  },
} as const;

export const run = buildCommand({
  loader: () => import('../commands/run.ts'),
  parameters: {
    flags: {
      plan: { kind: 'boolean', optional: true, withNegated: false, brief: 'Only look, and show a plan to agree to' },
      model: { kind: 'parsed', parse: text, optional: true, placeholder: 'provider/model', brief: 'The one of helix.json when absent' },
      budget: { kind: 'parsed', parse: aboveZero, optional: true, placeholder: 'USD', brief: 'At this it stops and asks' },
      turns: {
        kind: 'parsed',
        parse: count,
        optional: true,
        placeholder: 'number',
        brief: 'After so many answers of the model it stops and asks',
      },
      verify: {
        kind: 'parsed',
        parse: text,
        variadic: true,
        optional: true,
        placeholder: 'command',
        brief: 'Must pass before it is done; tools.verify of helix.json when absent',
      },
      ...following,
      on: submitting.on,
      requires: submitting.requires,
      detach: { kind: 'boolean', optional: true, withNegated: false, brief: 'Do not follow: print the id of the session' },
    },
    positional: {
      kind: 'array',
      parameter: { brief: 'What is to be done', parse: text, placeholder: 'goal' },
      minimum: 1,
    },
  },
  docs: {
    brief: 'Send an agent to reach a goal in this repository',
    fullDescription:
      'It works on a copy of the working tree as it is, on a worker; your branch, index and files are not touched. What it changed becomes a branch helix/….\n' +
      'Its last words go to stdout, everything else to stderr. Exits with 0 when it is done, 5 when it failed, 8 when it waits for a person whom nobody can ask here.',
    customUsage: [
      '"make the failing test pass"',
      '--plan "split the parser into modules"',
      '--yes --budget 2 --wait 30m "update the changelog"',
    ],
  },
});

export const sessions = buildRouteMap({
  routes: {
    list: buildCommand({
      loader: () => import('../commands/sessions-list.ts'),
      parameters: {
        flags: {
          project: { kind: 'parsed', parse: text, optional: true, placeholder: 'project', brief: 'Only sessions in this project' },
          limit: { kind: 'parsed', parse: wholeNumber, default: '20', placeholder: 'number', brief: 'At most so many' },
        },
      },
      docs: { brief: 'The newest sessions' },
    }),
    show: buildCommand({
      loader: () => import('../commands/sessions-show.ts'),
      parameters: {
        flags: {
          last: { kind: 'parsed', parse: wholeNumber, default: '100', placeholder: 'number', brief: 'The newest entries, so many' },
          full: { kind: 'boolean', optional: true, withNegated: false, brief: 'Long texts whole' },
        },
        positional: { kind: 'tuple', parameters: [session] },
      },
      docs: { brief: 'What was said and done, with the numbers to fork at or rewind to' },
    }),
    attach: buildCommand({
      loader: () => import('../commands/sessions-attach.ts'),
      parameters: {
        flags: {
          ...following,
          last: {
            kind: 'parsed',
            parse: wholeNumber,
            default: '20',
            placeholder: 'number',
            brief: 'Show so many entries of what was before',
          },
        },
        positional: { kind: 'tuple', parameters: [session] },
      },
      docs: { brief: 'Follow a session, and answer what it asks' },
    }),
    say: buildCommand({
      loader: () => import('../commands/sessions-say.ts'),
      parameters: {
        positional: { kind: 'tuple', parameters: [session, { brief: 'What is said', parse: text, placeholder: 'text' }] },
      },
      docs: { brief: 'Say something to an agent while it works, or after', customUsage: ['<session> "use the existing helper"'] },
    }),
    fork: buildCommand({
      loader: () => import('../commands/sessions-fork.ts'),
      parameters: {
        flags: {
          at: {
            kind: 'parsed',
            parse: wholeNumber,
            optional: true,
            placeholder: 'number',
            brief: 'As it was at this entry; as it is when absent',
          },
        },
        positional: {
          kind: 'tuple',
          parameters: [session, { brief: 'What is said to the new one', parse: text, placeholder: 'text', optional: true }],
        },
      },
      docs: { brief: 'A new session from where this one is or was', customUsage: ['<session> --at 42 "try it without the cache"'] },
    }),
    rewind: buildCommand({
      loader: () => import('../commands/sessions-rewind.ts'),
      parameters: {
        flags: {
          to: { kind: 'parsed', parse: wholeNumber, placeholder: 'number', brief: 'Number of an entry, as `helix sessions show` has it' },
        },
        positional: { kind: 'tuple', parameters: [session] },
      },
      docs: { brief: 'Take a session back to an entry, conversation and files together' },
    }),
    cancel: buildCommand({
      loader: () => import('../commands/sessions-cancel.ts'),
      parameters: { positional: { kind: 'tuple', parameters: [session] } },
      docs: { brief: 'End the work of an agent; what it said and its files are kept' },
    }),
    fetch: buildCommand({
      loader: () => import('../commands/sessions-fetch.ts'),
      parameters: { positional: { kind: 'tuple', parameters: [session] } },
      docs: { brief: 'Bring what it changed into this repository, as a branch' },
    }),
  },
  docs: { brief: 'Conversations with agents' },
});

const approval = { brief: 'Id of an approval', parse: text, placeholder: 'approval' } as const;

const remark = { kind: 'parsed', parse: text, optional: true, placeholder: 'text', brief: 'What the agent is told with it' } as const;

export const approvals = buildRouteMap({
  routes: {
    list: buildCommand({
      loader: () => import('../commands/approvals-list.ts'),
      parameters: {
        flags: {
          session: { kind: 'parsed', parse: text, optional: true, placeholder: 'session', brief: 'Only of this session' },
          all: { kind: 'boolean', optional: true, withNegated: false, brief: 'Also what was answered' },
        },
      },
      docs: { brief: 'What waits for a person' },
    }),
    show: buildCommand({
      loader: () => import('../commands/approvals-show.ts'),
      parameters: { positional: { kind: 'tuple', parameters: [approval] } },
      docs: { brief: 'One of them, with its plan' },
    }),
    accept: buildCommand({
      loader: () => import('../commands/approvals-accept.ts'),
      parameters: {
        flags: {
          text: remark,
          turns: { kind: 'parsed', parse: count, optional: true, placeholder: 'number', brief: 'So many turns more' },
          minutes: { kind: 'parsed', parse: aboveZero, optional: true, placeholder: 'number', brief: 'So many minutes more' },
          budget: { kind: 'parsed', parse: aboveZero, optional: true, placeholder: 'USD', brief: 'New budget of the run, in all' },
        },
        positional: { kind: 'tuple', parameters: [approval] },
      },
      docs: { brief: 'Agree, or let an agent go on that stopped', customUsage: ['<approval>', '<approval> --budget 10'] },
    }),
    refuse: buildCommand({
      loader: () => import('../commands/approvals-refuse.ts'),
      parameters: { flags: { text: remark }, positional: { kind: 'tuple', parameters: [approval] } },
      docs: { brief: 'Refuse, and say why', customUsage: ['<approval> --text "not on a Friday"'] },
    }),
    answer: buildCommand({
      loader: () => import('../commands/approvals-answer.ts'),
      parameters: {
        positional: { kind: 'tuple', parameters: [approval, { brief: 'The answer', parse: text, placeholder: 'text' }] },
      },
      docs: { brief: 'Answer a question', customUsage: ['<approval> "the second one"'] },
    }),
  },
  docs: { brief: 'What agents ask of people' },
});
