import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { EXIT_CODES } from '@helixcode/protocol/exit-codes';
import { describe, expect, test } from 'vitest';
import { givenCheckout, givenFolder, runHelix } from './support.ts';

test('help names every command, and each has help of its own', async () => {
  const { status, stdout, stderr } = await runHelix(['--help']);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(stdout).toMatchSnapshot();
  const commands = [
    'up',
    'run',
    'sessions',
    'sessions fork',
    'approvals accept',
    'test',
    'exec',
    'build',
    'workers',
    'workers add',
    'tasks logs',
    'events',
    'completion',
  ];
  const helps = await Promise.all(commands.map((command) => runHelix([...command.split(' '), '--help'])));
  expect(helps.map((help) => help.status)).toEqual(commands.map(() => 0));
  expect(helps.map((help) => help.stdout).join('\n')).toMatchSnapshot();
});

test('help on exit codes prints the table that the program goes by', async () => {
  const { stdout } = await runHelix(['help', 'exit-codes']);
  expect(stdout).toBe(
    Object.values(EXIT_CODES)
      .map(({ status, meaning }) => `${status}\t${meaning}\n`)
      .join(''),
  );
  expect(JSON.parse((await runHelix(['--json', 'help', 'exit-codes'])).stdout)).toMatchObject({ items: Object.values(EXIT_CODES) });
});

describe('a wrong command line is exit 2, and says what was meant', () => {
  test.each([
    [['wokers'], 'there is no command wokers; did you mean workers?', 'helix --help'],
    [['workers', 'ad'], 'there is no command ad; did you mean add?', 'helix workers --help'],
    [['exec', '--onn', 'x', '--', 'ls'], 'there is no flag --onn; did you mean --on?', 'helix exec --help'],
    [['tasks', 'show'], 'task is missing', 'helix tasks show --help'],
    [['tasks', 'list', '--state', 'done'], '--state is done, expected one of blocked, pending, running', 'helix tasks list --help'],
    [['test', '--max-slots', 'many'], 'many', 'helix test --help'],
    [['exec', '--lost-after', 'soon', '--', 'ls'], 'lost-after: soon is not a duration such as 30s, 5m or 1h30m', 'helix exec --help'],
    [['exec', '--deadline', '5m3x', '--', 'ls'], 'deadline: 5m3x is not a duration', 'helix exec --help'],
    [['test', '--grace', '0s'], 'grace: 0s is no time at all', 'helix test --help'],
    [['build', '--wait', '30d'], 'wait: 30d is longer than 24d', 'helix build --help'],
    [['build', '--priority', '101'], 'priority: 101 is not a whole number from -100 to 100', 'helix build --help'],
    [['test', '--max-attempts', '0'], 'max-attempts: 0 is not a whole number from 1 to 100', 'helix test --help'],
    [['exec', '--reconcile', 'keep', '--', 'ls'], '--reconcile is keep, expected one of first_done, keep_original', 'helix exec --help'],
    [['exec', '--grace', '5m', '--', 'ls'], '--grace ends the pause of a critical task: it needs --critical', 'helix help exec'],
    [['exec', '--critical', '--lost-after', '5m', '--', 'ls'], 'give --grace in place of --lost-after', 'helix help exec'],
    [['exec', '--no-replace', '--lost-after', '5m', '--', 'ls'], 'it leaves no meaning to --lost-after', 'helix help exec'],
    [['exec', '--checkpoint-every', '30s', '--', 'ls'], 'it needs --checkout', 'helix exec --help'],
    [['run'], 'goal is missing', 'helix run --help'],
    [['run', ' '], 'the goal is empty', 'helix run --help'],
    [['run', '--yes', '--detach', 'x'], 'it cannot go with --detach', 'helix run --help'],
    [['run', '--budget', '0', 'x'], 'budget: 0 is not a number above 0', 'helix run --help'],
    [['run', 'x'], 'is not in the working tree of a git repository', 'git init'],
    [['sessions', 'rewind', 'ses_1'], '--to needs a value', 'helix sessions rewind --help'],
    [['sessions', 'say', 'ses_1', ''], 'nothing is said', 'helix sessions say ses_1 "…"'],
    [['approvals', 'answer', 'apr_1', ' '], 'the answer is empty', 'helix approvals answer apr_1 "…"'],
    [['status', '--server'], '--server needs a value', 'helix --help'],
    [['workers', 'add'], 'name either an address or --local and a name', 'helix workers add --help'],
    [['workers', 'add', 'ada@host:99999'], 'ada@host:99999 is not an address', 'helix workers add --help'],
    [['worker', 'join'], 'name the URL of the server', 'helix worker join https://helix.example.org --token-stdin'],
    [['completion', 'bsh'], 'did you mean bash?', 'helix completion bash'],
  ])('%j', async (args, message, next) => {
    const { status, stdout, stderr } = await runHelix(args);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain(message);
    expect(stderr).toContain(`next: ${next}\n`);
  });
});

test('with --json an error is one JSON document on stderr, wherever the flag stands', async () => {
  const home = givenFolder();
  const expected = {
    error: { code: 'server.unreachable', message: `no server runs on this machine (there is none in ${home})`, next: 'helix up' },
  };
  for (const args of [
    ['--json', 'status', '--home', home],
    ['status', `--home=${home}`, '--json'],
  ]) {
    const { status, stdout, stderr } = await runHelix(args);
    expect({ status, stdout, error: JSON.parse(stderr) as unknown }).toEqual({ status: 7, stdout: '', error: expected });
  }
});

test('a server that does not answer is exit 7, a missing token exit 4, and a token is never shown to another machine', async () => {
  const home = givenFolder();
  const env = { HELIX_HOME: home };
  expect(await runHelix(['status', '--server', 'http://127.0.0.1:9'], { env: { ...env, HELIX_TOKEN: 'x' } })).toMatchObject({
    status: 7,
    stderr: expect.stringContaining('no server answers at http://127.0.0.1:9'),
  });
  expect(await runHelix(['status', '--server', 'http://helix.example.org'], { env })).toMatchObject({
    status: 4,
    stderr: expect.stringContaining('there is no token for http://helix.example.org'),
  });
});

test('config check names the wrong key, and a right file passes', async () => {
  const { folder, write } = givenCheckout();
  write({ 'helix.json': '{ "tools": { "tset": {} } }' });
  const wrong = await runHelix(['config', 'check'], { cwd: folder });
  expect(wrong).toMatchObject({ status: 2, stderr: expect.stringContaining('tools has no key tset; did you mean test?') });
  write({ 'helix.json': '{ "tools": { "test": { "runner": "vitest" } } }' });
  expect(await runHelix(['config', 'check', '--json'], { cwd: folder })).toMatchObject({ status: 0, stderr: '' });
  expect(await runHelix(['config', 'check'], { cwd: folder, env: { HELIX_PORT: 'x' } })).toMatchObject({
    status: 2,
    stderr: expect.stringContaining('HELIX_PORT is "x", expected a whole number'),
  });
});

test('completions are offered for commands and flags', async () => {
  const offered = async (...words: string[]): Promise<string[]> =>
    (await runHelix(['__complete', ...words])).stdout
      .trim()
      .split('\n')
      .map((line) => line.split('\t')[0] ?? '');
  expect(await offered('wor')).toEqual(['workers', 'worker']);
  expect(await offered('workers', 'a')).toEqual(['add', 'accept-key']);
  expect(await offered('test', '--ju')).toEqual(['--junit']);
  expect(await offered('--json', 'test', '--ju')).toEqual(['--junit']);
  expect(await offered('exec', '--lost')).toEqual(['--lost-after']);
  expect(await offered('build', '--reconcile', 'keep')).toEqual(['keep_original', 'keep_replacement']);
  expect(await offered('status', '--js')).toEqual(['--json', '--jsonl']);
});

test('help and version load no schemas, no client and no command', async () => {
  const program = `
    import { registerHooks } from 'node:module';
    const loaded = [];
    registerHooks({ load(url, context, next) { loaded.push(url); return next(url, context); } });
    const { main } = await import(${JSON.stringify(new URL('../src/main.ts', import.meta.url).href)});
    await main(['--help']);
    await main(['--version']);
    console.error(JSON.stringify(loaded));`;
  const { stderr } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program]);
  const loaded = JSON.parse(stderr) as string[];
  expect(loaded.some((url) => url.endsWith('/cli/src/app.ts'))).toBe(true);
  expect(loaded.filter((url) => /\/(zod|client|commands|server)\//.test(url))).toEqual([]);
});

test('a reader that goes away ends the program without a word', async () => {
  expect(await runHelix(['help', 'environment'], { readsStdout: false })).toEqual({ status: 0, stdout: '', stderr: '' });
});
