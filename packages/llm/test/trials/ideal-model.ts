import type { ModelPort } from '../../src/model-port.ts';
import { type ScriptedAnswer, scriptedModel } from '../../src/providers/scripted.ts';

const call = (tool: string, input: unknown): ScriptedAnswer => ({
  calls: [{ tool, input }],
  usage: { inputTokens: 100, outputTokens: 10 },
});
const say = (text: string): ScriptedAnswer => ({ text, usage: { inputTokens: 100, outputTokens: 10 } });

/** What a model that makes no mistakes does in each trial of tools, by words of its prompt. */
const MOVES: [prompt: string, answers: ScriptedAnswer[]][] = [
  ['Trattoria Blu', [call('book_table', { restaurant: 'Trattoria Blu', date: '2026-03-14', time: '19:30', guests: 4 })]],
  ['saving mode', [call('set_thermostat', { room: 'bedroom', mode: 'eco' })]],
  [
    'Bakkerij Smit',
    [
      call('create_invoice', {
        customer: { name: 'Bakkerij Smit', country: 'NL' },
        lines: [
          { article: 'flour 25 kg', quantity: 3, unitCents: 1_850 },
          { article: 'rolling pin', quantity: 1, unitCents: 995 },
        ],
        isPaid: false,
      }),
    ],
  ],
  [
    'Lima',
    [
      {
        calls: ['Oslo', 'Lima', 'Cairo'].map((city) => ({ tool: 'weather', input: { city } })),
        usage: { inputTokens: 100, outputTokens: 30 },
      },
    ],
  ],
  ['capital of Norway', [say('Oslo.')]],
  ['notes/quote.txt', [call('write_note', { path: 'notes/quote.txt', text: 'He said: "C:\\temp\\new"\n\tand left.\n{"done": true}\n' })]],
  ['Ada Byron', [call('find_person', { name: 'Ada Byron' }), call('send_message', { personId: 'p-4417', text: 'lunch at one' })]],
  [
    'oven-2',
    [call('measure', { sensor: 'oven-2', unit: 'celsius' }), call('measure', { sensor: 'oven-2', unit: 'kelvin' }), say('It has 453 K.')],
  ],
  ['Move the arm', [call('move_arm', { x: -12.5, y: 0, z: 3.75 })]],
  [
    '90210',
    [
      call('set_tags', {
        articleId: 90_210,
        tags: ['new', 'organic', 'fair trade', '500 g', 'whole bean', 'dark roast', 'Peru', 'Ethiopia', 'nut', 'cocoa', 'low acid', 'gift'],
      }),
    ],
  ],
  ['ticket T-9', [call('assign_ticket', { ticket: 'T-9', assignee: null })]],
  ['highest number', [call('list_tickets', {}), call('close_ticket', { ticket: 'T-12' })]],
];

/** @param spoil replaces what it does in some trials, by the same words */
export function idealToolUser(spoil: Record<string, ScriptedAnswer[]> = {}): ModelPort {
  return scriptedModel(({ messages }) => {
    const asked = JSON.stringify(messages[1]);
    const [words = '', answers = []] = MOVES.find(([prompt]) => asked.includes(prompt)) ?? [];
    const turn = messages.filter(({ role }) => role === 'assistant').length;
    return (spoil[words] ?? answers)[turn] ?? say('Done.');
  });
}
