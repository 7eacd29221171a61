import { buildCommand, buildRouteMap } from '@stricli/core';
import { text, wholeNumber } from './inputs.ts';

export const receipts = buildRouteMap({
  routes: {
    list: buildCommand({
      loader: () => import('../commands/receipts-list.ts'),
      parameters: {
        flags: {
          task: { kind: 'parsed', parse: text, optional: true, placeholder: 'task', brief: 'Only of this task' },
          limit: { kind: 'parsed', parse: wholeNumber, default: '20', placeholder: 'number', brief: 'At most so many' },
        },
      },
      docs: { brief: 'Signed evidence of what ran, newest first' },
    }),
    show: buildCommand({
      loader: () => import('../commands/receipts-show.ts'),
      parameters: {
        positional: { kind: 'tuple', parameters: [{ brief: 'Id of a receipt, or of a task', parse: text, placeholder: 'receipt' }] },
      },
      docs: { brief: 'One receipt, as the signed document', customUsage: ['<receipt> > receipt.json'] },
    }),
    verify: buildCommand({
      loader: () => import('../commands/receipts-verify.ts'),
      parameters: {
        flags: {
          key: {
            kind: 'parsed',
            parse: text,
            optional: true,
            placeholder: 'file',
            brief: 'Public key in PEM that must have signed it; then no server is asked',
          },
        },
        positional: {
          kind: 'tuple',
          parameters: [{ brief: 'File with a receipt, or the id of a receipt or a task', parse: text, placeholder: 'receipt' }],
        },
      },
      docs: {
        brief: 'Check on this machine that a receipt is as it was signed',
        customUsage: ['<receipt>', 'receipt.json --key server.pem'],
      },
    }),
    key: buildCommand({
      loader: () => import('../commands/receipts-key.ts'),
      parameters: {},
      docs: { brief: 'The public key that the server signs with', customUsage: ['> server.pem'] },
    }),
  },
  docs: { brief: 'Evidence of what ran, signed by the server' },
});
