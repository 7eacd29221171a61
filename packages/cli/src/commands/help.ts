import { EXIT_CODES } from '@helixcode/protocol/exit-codes';
import type { HelixContext } from '../helix-context.ts';

export default async function help(this: HelixContext, _flags: object, ...topic: string[]): Promise<void> {
  const { out } = this;
  if (topic[0] === 'exit-codes') {
    const rows = Object.values(EXIT_CODES);
    return out.list(rows, [
      { title: 'status', cell: (row) => String(row.status) },
      { title: 'meaning', cell: (row) => row.meaning },
    ]);
  }
  if (topic[0] === 'environment') {
    const { configVariables } = await import('@helixcode/protocol/config/config-environment');
    const rows = [
      { name: 'HELIX_TOKEN', key: '', description: 'token to show the server, in place of the owner token of this machine' },
      { name: 'HELIX_CONFIG', key: '', description: 'helix.json of the server' },
      { name: 'NO_COLOR', key: '', description: 'no colours' },
      ...configVariables(),
    ];
    return out.list(rows, [
      { title: 'variable', cell: (row) => row.name },
      { title: 'key', cell: (row) => row.key },
      { title: 'value', cell: (row) => row.description },
    ]);
  }
  await this.runAgain([...topic, '--help']);
}
