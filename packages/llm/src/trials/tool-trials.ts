import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { type MadeCall, type ToolTask, toolTrial, trialTool } from './tool-trial.ts';
import type { Trial } from './trial.ts';

const bookTable = trialTool(
  'book_table',
  'Book a table in a restaurant.',
  z.strictObject({
    restaurant: z.string(),
    date: z.iso.date(),
    time: z.string().regex(/^\d\d:\d\d$/),
    guests: z.int().min(1),
  }),
);
const thermostat = trialTool(
  'set_thermostat',
  'Set the heating of a room.',
  z.strictObject({
    room: z.string(),
    mode: z.enum(['off', 'eco', 'comfort']),
    celsius: z.number().optional().describe('only where a temperature was asked for'),
  }),
);
const invoice = trialTool(
  'create_invoice',
  'Write an invoice.',
  z.strictObject({
    customer: z.strictObject({ name: z.string(), country: z.string().length(2).describe('ISO 3166-1 alpha-2') }),
    lines: z.array(z.strictObject({ article: z.string(), quantity: z.int().min(1), unitCents: z.int() })),
    isPaid: z.boolean(),
  }),
);
const weather = trialTool(
  'weather',
  'The weather of one city now.',
  z.strictObject({ city: z.string() }),
  ({ city }) => `${city}: 12 °C, dry`,
);
const writeNote = trialTool('write_note', 'Write a text file.', z.strictObject({ path: z.string(), text: z.string() }));
const findPerson = trialTool('find_person', 'Find the id of a person by name.', z.strictObject({ name: z.string() }), ({ name }) => {
  if (/ada/i.test(name)) return '{"id":"p-4417","name":"Ada Byron"}';
  throw new Error(`nobody is called ${name}`);
});
const sendMessage = trialTool(
  'send_message',
  'Send a message to a person.',
  z.strictObject({ personId: z.string(), text: z.string().min(1) }),
);
const measure = trialTool(
  'measure',
  'Measure the oven.',
  z.strictObject({ sensor: z.string(), unit: z.string().describe('celsius if nothing else is said') }),
  ({ unit }) => {
    if (unit !== 'kelvin') throw new Error('this sensor measures in kelvin only: call again with unit "kelvin"');
    return '453 K';
  },
);
const moveArm = trialTool(
  'move_arm',
  'Move the arm to a place, in millimetres.',
  z.strictObject({ x: z.number(), y: z.number(), z: z.number() }),
);
const setTags = trialTool(
  'set_tags',
  'Replace the tags of an article, in their order.',
  z.strictObject({ articleId: z.int(), tags: z.array(z.string()) }),
);
const assign = trialTool(
  'assign_ticket',
  'Give a ticket to somebody.',
  z.strictObject({ ticket: z.string(), assignee: z.string().nullable().describe('null: nobody') }),
);
const closeTicket = trialTool('close_ticket', 'Close a ticket for good.', z.strictObject({ ticket: z.string() }));
const listTickets = trialTool('list_tickets', 'List all open tickets.', z.strictObject({}), () => 'T-7, T-9, T-12');

const TAGS = ['new', 'organic', 'fair trade', '500 g', 'whole bean', 'dark roast', 'Peru', 'Ethiopia', 'nut', 'cocoa', 'low acid', 'gift'];
const NOTE = 'He said: "C:\\temp\\new"\n\tand left.\n{"done": true}\n';

const TASKS: ToolTask[] = [
  {
    name: 'arguments of several types',
    prompt: 'Book a table for four at Trattoria Blu on 14 March 2026, half past seven in the evening.',
    tools: [bookTable],
    problemOf: onlyCall('book_table', { restaurant: 'Trattoria Blu', date: '2026-03-14', time: '19:30', guests: 4 }),
  },
  {
    name: 'a choice of a list, and nothing that was not asked for',
    prompt: 'Put the heating of the bedroom on the saving mode.',
    tools: [thermostat, weather],
    problemOf: (calls) => onlyCall('set_thermostat', { room: calls[0]?.input['room'] ?? '', mode: 'eco' })(calls),
  },
  {
    name: 'objects in objects and lists',
    prompt:
      'Write an unpaid invoice for Bakkerij Smit in the Netherlands: 3 sacks of flour (article "flour 25 kg") at 18.50 euro each, and one "rolling pin" at 9.95 euro.',
    tools: [invoice],
    problemOf: onlyCall('create_invoice', {
      customer: { name: 'Bakkerij Smit', country: 'NL' },
      lines: [
        { article: 'flour 25 kg', quantity: 3, unitCents: 1_850 },
        { article: 'rolling pin', quantity: 1, unitCents: 995 },
      ],
      isPaid: false,
    }),
  },
  {
    name: 'several calls for one wish',
    prompt: 'How is the weather in Oslo, in Lima and in Cairo?',
    tools: [weather, thermostat],
    problemOf(calls) {
      const cities = calls.map(({ input }) => String(input['city']).toLowerCase()).sort();
      return isDeepStrictEqual(cities, ['cairo', 'lima', 'oslo'])
        ? undefined
        : `it asked for the weather of ${cities.join(', ') || 'nowhere'}`;
    },
  },
  {
    name: 'no call where none is needed',
    prompt: 'What is the capital of Norway? I do not need the weather.',
    tools: [weather, thermostat],
    problemOf: (calls, text) =>
      calls.length > 0 ? `it called ${calls[0]?.tool}` : /\boslo\b/i.test(text) ? undefined : 'it did not answer the question',
  },
  {
    name: 'a text kept to the letter',
    prompt: `Write the file notes/quote.txt. Its text is between the two lines of equals signs, and ends with one line end:\n=====\n${NOTE}=====`,
    tools: [writeNote],
    problemOf: onlyCall('write_note', { path: 'notes/quote.txt', text: NOTE }),
  },
  {
    name: 'a call that needs the result of another',
    prompt: 'Tell Ada Byron by message exactly this: lunch at one',
    tools: [sendMessage, findPerson],
    problemOf(calls) {
      const sent = calls.filter(({ tool }) => tool === 'send_message');
      if (calls[0]?.tool !== 'find_person') return 'it did not look up the person first';
      return onlyCall('send_message', { personId: 'p-4417', text: 'lunch at one' })(sent);
    },
  },
  {
    name: 'a call made again as its error says',
    prompt: 'How hot is sensor oven-2? Give me the figure as it is measured.',
    tools: [measure],
    problemOf(calls, text) {
      if (!calls.some(({ input }) => input['unit'] === 'kelvin')) return 'it did not call again with the unit that the error names';
      return /\b453\b/.test(text) ? undefined : 'it did not tell the figure';
    },
  },
  {
    name: 'fractions and negative numbers',
    prompt: 'Move the arm to x = minus twelve and a half, y = zero, z = three and three quarters.',
    tools: [moveArm],
    problemOf: onlyCall('move_arm', { x: -12.5, y: 0, z: 3.75 }),
  },
  {
    name: 'a long list in its order',
    prompt: `The tags of article 90210 shall be, in this order: ${TAGS.join(', ')}.`,
    tools: [setTags],
    problemOf: onlyCall('set_tags', { articleId: 90_210, tags: TAGS }),
  },
  {
    name: 'nothing as a value, and the milder of two tools',
    prompt: 'Nobody works on ticket T-9 any more; take the name off it. It stays open.',
    tools: [closeTicket, assign, listTickets],
    problemOf: (calls) => onlyCall('assign_ticket', { ticket: 'T-9', assignee: null })(calls.filter(({ tool }) => tool !== 'list_tickets')),
  },
  {
    name: 'a call without arguments, then one for what it gave',
    prompt: 'Close the open ticket with the highest number.',
    tools: [assign, listTickets, closeTicket],
    problemOf: (calls) =>
      calls[0]?.tool === 'list_tickets'
        ? onlyCall('close_ticket', { ticket: 'T-12' })(calls.slice(1))
        : 'it did not list the tickets first',
  },
];

/** Well-formed and right calls: small wishes, each with its one right sequence of calls. */
export const TOOL_TRIALS: Trial[] = TASKS.map(toolTrial);

/** Exactly one call, of this tool, with these arguments. */
function onlyCall(tool: string, input: MadeCall['input']): (calls: MadeCall[]) => string | undefined {
  return (calls) => {
    const [first] = calls;
    if (first === undefined) return `it did not call ${tool}`;
    if (calls.length > 1) return `it made ${calls.length} calls where one is right: ${calls.map((call) => call.tool).join(', ')}`;
    if (first.tool !== tool) return `it called ${first.tool} instead of ${tool}`;
    if (isDeepStrictEqual(first.input, input)) return undefined;
    return `${tool} was called with ${JSON.stringify(first.input).slice(0, 300)}`;
  };
}
