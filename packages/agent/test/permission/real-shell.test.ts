import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { agentPermissions } from '@helixcode/protocol/config/agent-config';
import { expect, onTestFinished, test } from 'vitest';
import { decideCall } from '../../src/permission/decide-call.ts';

const ROUNDS = 250;
const SHELL = '/bin/sh';

/** Scripts made of these: what they run is found out by running them. */
const PIECES = [
  ...[
    'git push',
    'git push',
    'git',
    'push',
    'gi',
    't',
    'pu',
    'sh',
    '$x',
    '"$x"',
    'x=push',
    'x=git',
    'x="git push"',
    'echo',
    ':',
    'true',
    'false',
    'eval',
    'exec',
    'command',
    'f',
    'f()',
    'env',
    'y=1',
  ],
  ...[
    ' ',
    ' ',
    ' ',
    ' ',
    '\n',
    '\n',
    ';',
    '&&',
    '||',
    '|',
    '&',
    '(',
    ')',
    '{ ',
    ' }',
    '; }',
    ' ) ',
    '$(',
    ')',
    '${x:-',
    '}',
    '${x#',
    '$((',
    '))',
    '`',
    '`',
    '"',
    '"',
    "'",
    "'",
    '\\',
    '\\\n',
    '#',
    '!',
    '*',
    '[',
    '=',
    '<<E\n',
    '\nE\n',
    '<<-E\n',
    "<<'E'\n",
    '>a ',
    '<a ',
    '2>&1',
    ' -c ',
    ' -C . ',
  ],
  ...['if ', '; then ', '; fi', '; else ', 'case x in x) ', ';; esac', ';;', 'for x in ', '; do ', '; done', 'while ', 'until ', 'break;'],
];

test('whatever a shell makes of a text: one that pushed was not allowed [S3]', () => {
  const folder = mkdtempSync(join(tmpdir(), 'helix-shell-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const [programs, place, pushed] = [join(folder, 'bin'), join(folder, 'w'), join(folder, 'pushed')];
  mkdirSync(programs);
  mkdirSync(place);
  const stub = (name: string, script: string): void => {
    writeFileSync(join(programs, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(programs, name), 0o755);
  };
  stub('git', `for word; do [ "$word" = push ] && : >'${pushed}'; done`);
  stub('sh', `exec ${SHELL} "$@"`);
  stub('env', '"$@"');

  let seed = 20_261;
  const next = (limit: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return Math.floor((seed / 2 ** 31) * limit);
  };
  const run = (command: string): boolean => {
    spawnSync(SHELL, ['-c', command], { cwd: place, env: { PATH: programs }, timeout: 5_000, killSignal: 'SIGKILL', stdio: 'ignore' });
    const hasPushed = existsSync(pushed);
    rmSync(pushed, { force: true });
    return hasPushed;
  };
  expect(run('x=push; env git -C . $x')).toBe(true);
  for (let round = 0; round < ROUNDS; ) {
    const command = Array.from({ length: 2 + next(12) }, () => PIECES[next(PIECES.length)]).join('');
    const { decision } = decideCall({ tool: 'shell', input: { command } }, agentPermissions.parse({}), {
      root: place,
      api: [],
      isSandboxed: true,
    });
    // Only one that is allowed can be wrong.
    if (decision !== 'allow' || !/p.*u.*s.*h/s.test(command)) continue;
    round++;
    expect(run(command), JSON.stringify(command)).toBe(false);
  }
});
