/** Words and signs in colour, or plain where colours are not wanted. */
export interface Style {
  readonly hasColor: boolean;
  readonly glyphs: Glyphs;
  bold(text: string): string;
  dim(text: string): string;
  red(text: string): string;
  green(text: string): string;
  yellow(text: string): string;
  cyan(text: string): string;
}

export interface Glyphs {
  done: string;
  failed: string;
  running: string;
  waiting: string;
  paused: string;
  cancelled: string;
  barFull: string;
  barEmpty: string;
  ellipsis: string;
}

const UNICODE: Glyphs = {
  done: '✔',
  failed: '✘',
  running: '●',
  waiting: '○',
  paused: '‖',
  cancelled: '⊘',
  barFull: '━',
  barEmpty: '╌',
  ellipsis: '…',
};
const ASCII: Glyphs = {
  done: '+',
  failed: 'x',
  running: '*',
  waiting: '.',
  paused: '=',
  cancelled: '-',
  barFull: '#',
  barEmpty: '-',
  ellipsis: '~',
};

export function createStyle(options: { color: boolean; unicode: boolean }): Style {
  const paint = (open: number, close: number) => (text: string) =>
    options.color && text !== '' ? `\u001b[${open}m${text}\u001b[${close}m` : text;
  return {
    hasColor: options.color,
    glyphs: options.unicode ? UNICODE : ASCII,
    bold: paint(1, 22),
    dim: paint(2, 22),
    red: paint(31, 39),
    green: paint(32, 39),
    yellow: paint(33, 39),
    cyan: paint(36, 39),
  };
}

/** @see https://no-color.org: any value but the empty one */
export function wantsColor(env: Readonly<Record<string, string | undefined>>, isTty: boolean): boolean {
  return isTty && !env.NO_COLOR && env.TERM !== 'dumb';
}

export function canUnicode(env: Readonly<Record<string, string | undefined>>, platform: string): boolean {
  if (env.TERM === 'dumb' || env.TERM === 'linux') return false;
  return platform === 'darwin' || /utf-?8/i.test(env.LC_ALL || env.LC_CTYPE || env.LANG || '');
}
