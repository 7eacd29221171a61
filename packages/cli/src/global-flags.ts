import { CodedError } from '@helixcode/protocol/errors';

/** What any command takes, before or after its name. */
export interface GlobalFlags {
  format: 'text' | 'json' | 'jsonl';
  /** False: colours are not wanted, whatever the terminal can do. */
  color: boolean;
  /** False: never ask, fail instead. */
  input: boolean;
  server: string | undefined;
  home: string | undefined;
}

export const GLOBAL_FLAGS = [
  { name: '--json', brief: 'One JSON document instead of text; errors too, on stderr' },
  { name: '--jsonl', brief: 'One JSON document per line, as things happen' },
  { name: '--no-color', brief: 'No colours (as NO_COLOR or TERM=dumb)' },
  { name: '--no-input', brief: 'Never ask: fail, and say what was missing' },
  { name: '--server', placeholder: 'url', brief: 'Server to talk to' },
  { name: '--home', placeholder: 'folder', brief: 'Data folder of the server on this machine' },
] as const;

/**
 * Takes the global flags out of a command line. Behind `--` everything belongs to somebody else.
 *
 * @throws CodedError `cli.bad_usage` for a flag without its value
 */
export function takeGlobalFlags(argv: readonly string[]): { flags: GlobalFlags; rest: string[] } {
  const flags: GlobalFlags = { format: 'text', color: true, input: true, server: undefined, home: undefined };
  const rest: string[] = [];
  for (let index = 0; index < argv.length; index++) {
    const arg = argv[index] ?? '';
    const [name = '', ...value] = arg.split('=');
    switch (name) {
      case '--':
        return { flags, rest: [...rest, ...argv.slice(index)] };
      case '--json':
      case '--jsonl':
        flags.format = name === '--json' ? 'json' : 'jsonl';
        break;
      case '--no-color':
        flags.color = false;
        break;
      case '--no-input':
        flags.input = false;
        break;
      case '--server':
      case '--home': {
        const given = value.length > 0 ? value.join('=') : argv[++index];
        if (given === undefined || given === '' || given === '--')
          throw new CodedError('cli.bad_usage', `${name} needs a value`, { next: 'helix --help' });
        flags[name === '--server' ? 'server' : 'home'] = given;
        break;
      }
      default:
        rest.push(arg);
    }
  }
  return { flags, rest };
}
