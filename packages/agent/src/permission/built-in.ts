import { posix } from 'node:path';
import { readGitWords } from './git-words.ts';
import { OPEN, UNKNOWN, type Word } from './parse-shell.ts';
import { isWithin, nameMatches, pathMatches, pathsIn, resolvePath } from './path-rule.ts';
import { isUnknown, type RunCommand } from './run-commands.ts';

export interface Surroundings {
  /** The workspace: an absolute path. */
  root: string;
  /** `host:port` of the server's own API, as the workers could reach it. */
  api: readonly string[];
  isSandboxed: boolean;
}

export interface Finding {
  decision: 'ask' | 'deny';
  reason: string;
  /** What it is about, where it is about a file. */
  path?: string;
}

/** Never: the reason is what the model reads. */
const DENIED: [programs: string, reason: string][] = [
  ['sudo su doas pkexec runuser run0', 'commands run as the account they have'],
  ['pkill killall killall5 skill slay', 'processes are not ended by name: others have the same; end those you started by their number'],
  ['helix', 'an agent does not give orders to its own server'],
  [
    'shutdown reboot halt poweroff telinit mkfs mkswap swapoff swapon fdisk sfdisk parted wipefs mount umount insmod rmmod modprobe kexec',
    'the machine is not yours to change',
  ],
];

/** A person is asked: it leaves the machine, or lasts. */
const ASKED: [programs: string, reason: string][] = [
  ['ssh scp sftp rsync mosh telnet', 'it reaches another machine'],
  ['gh glab hub', 'it acts in your name on the forge'],
  ['systemctl service launchctl crontab', 'it changes what the machine runs'],
];

const PUBLISHING: Record<string, string[]> = {
  npm: ['publish', 'unpublish', 'deprecate', 'dist-tag', 'owner', 'access', 'token', 'login', 'adduser'],
  pnpm: ['publish', 'login'],
  yarn: ['publish', 'login'],
  bun: ['publish'],
  cargo: ['publish', 'yank', 'owner', 'login'],
  gem: ['push', 'yank', 'owner'],
  twine: ['upload'],
  uv: ['publish'],
  poetry: ['publish'],
  docker: ['push', 'login'],
  podman: ['push', 'login'],
  helm: ['push'],
  mvn: ['deploy', 'release:perform'],
  terraform: ['apply', 'destroy'],
  kubectl: ['apply', 'delete', 'create', 'patch', 'replace', 'scale', 'exec', 'drain'],
};

/** The server hands work on: a workspace has nowhere to push to, and no keys. */
const PUSHING = new Set(['push', 'send-pack', 'http-push', 'send-email']);

/** Files that hold keys and passwords. */
const SECRET_FILES = [
  ...['.env', '.env.*', '.envrc', '*.pem', '*.key', '*.p12', '*.pfx', '*.jks', '*.keystore'],
  ...['id_rsa', 'id_dsa', 'id_ecdsa', 'id_ed25519', '.ssh', '.aws', '.gnupg', '.netrc', '.pgpass', '.pypirc'],
  ...['.git-credentials', '.htpasswd', '**/.kube/config', '**/.docker/config.json', '/etc/shadow', '/etc/gshadow'],
  ...['credentials.json', 'secrets.json', 'secrets.yml', 'secrets.yaml'],
];
const NO_SECRETS = new Set(['.env.example', '.env.sample', '.env.template', '.env.dist', '.env.defaults']);
/** Files of that name are spoken of, not read. */
const ONLY_NAMES = new Set(['echo', 'printf', 'test', '[', 'ls', 'stat', 'touch', 'basename', 'dirname', 'cd']);

const CHANGES_OUTSIDE = new Set(['chmod', 'chown', 'chgrp', 'shred', 'truncate', 'setfacl', 'chattr']);
const HARMLESS_DEVICES = /^\/dev\/(null|zero|full|stdin|stdout|stderr|tty|fd\/\d+)$/;

/** @returns why this file is asked for before it is read or written */
export function secretFile(path: string, root: string): Finding | undefined {
  if (NO_SECRETS.has(posix.basename(path))) return undefined;
  if (!SECRET_FILES.some((pattern) => pathMatches(pattern, path, root))) return undefined;
  return { decision: 'ask', reason: `${tell(path)} may hold keys or passwords`, path };
}

/**
 * What is known of a command without any rule.
 * @param folders where it may run: the workspace, and every folder that was changed to before. `undefined` is one unknown
 */
export function findings(command: RunCommand, folders: readonly (string | undefined)[], around: Surroundings): Finding[] {
  const { program, words } = command;
  const args = words.slice(1);
  const found: Finding[] = [];
  const deny = (reason: string): void => void found.push({ decision: 'deny', reason });
  const ask = (reason: string, path?: string): void => void found.push({ decision: 'ask', reason, ...(path !== undefined && { path }) });

  // mkfs.ext4, mkfs.xfs, …
  const family = program.split('.')[0] ?? program;
  for (const [programs, reason] of DENIED) if (programs.split(' ').includes(family)) deny(reason);
  for (const [programs, reason] of ASKED) if (programs.split(' ').includes(program)) ask(reason);
  const publishing = Object.hasOwn(PUBLISHING, program) ? PUBLISHING[program] : undefined;
  const published = publishing && args.find(({ text }) => publishing.includes(text));
  if (published) ask(`${program} ${published.text} changes things outside of the workspace`);
  if (program === 'kill' && args.some(({ text }, at) => text === '-1' && at > 0)) deny('kill -1 ends every process');
  if (program === 'fuser' && args.some(({ text }) => /^-[a-z]*k/.test(text))) deny('fuser -k ends processes that are not yours');
  if (reachesApi(words, around.api)) deny('an agent does not give orders to its own server');
  if (program === 'git') found.push(...gitFindings(args));
  if (program === 'rm' || program === 'find') found.push(...removalFindings(program, args, folders, around));
  if (CHANGES_OUTSIDE.has(program) && args.some(({ text }) => isPath(text) && isOutside(text, folders, around.root)))
    ask(`${program} of what is outside of the workspace`);
  if (program === 'dd' && args.some(({ text }) => text.startsWith('of=/dev/') && !HARMLESS_DEVICES.test(text.slice(3))))
    deny('dd writes to a device');
  if ((program === '.' || program === 'source') && (command.isFed || args[0]?.text.startsWith('/dev/')))
    ask(`${program} runs what it is fed with`);
  if (/^(python[\d.]*|node|perl|ruby|php|lua|deno|bun)$/.test(program) && command.isFed && args.every(({ text }) => text === '-'))
    ask(`${program} runs what it is fed with`);
  for (const { text } of command.assignments)
    if (/^(IFS|GIT_CONFIG[A-Z_0-9]*|BASH_ENV|ENV|LD_PRELOAD|LD_AUDIT)=/.test(text)) ask(`${text.split('=')[0]} changes what commands mean`);

  for (const { operator, target } of command.redirections) {
    if (operator === '<<') continue;
    if (/^\/dev\/(tcp|udp)\//.test(target.text)) {
      ask('it opens a connection');
      continue;
    }
    if (!operator.includes('>')) continue;
    if (target.text.startsWith('/dev/') && !HARMLESS_DEVICES.test(target.text)) deny('it writes to a device');
    if (/(^|\/)\.git(\/|$)/.test(target.text)) ask('it changes the data of git', target.text);
  }
  const named = [
    ...(ONLY_NAMES.has(program) ? [] : args),
    ...command.redirections.filter(({ operator }) => operator !== '<<').map(({ target }) => target),
  ];
  for (const word of named) {
    for (const path of pathsIn(word)) {
      const secret = secretFile(path.replaceAll(UNKNOWN, '_').replaceAll(OPEN, '_'), around.root);
      if (secret) found.push(secret);
    }
    const name =
      word.pattern === undefined ? undefined : SECRET_FILES.find((pattern) => !/[*/]/.test(pattern) && nameMatches(word, pattern));
    if (name !== undefined) ask(`${word.pattern} may mean ${name}, which may hold keys or passwords`, name);
  }
  return found;
}

function gitFindings(args: readonly Word[]): Finding[] {
  const { command, args: rest, settings } = readGitWords(args.map(({ text }) => text));
  const first = rest.find((word) => !word.startsWith('-'));
  const pushed =
    PUSHING.has(command) || (['lfs', 'subtree'].includes(command) && first === 'push') || (command === 'svn' && first === 'dcommit');
  if (pushed) return [{ decision: 'deny', reason: `git ${command}: the server hands work on, a workspace does not push` }];
  const found: Finding[] = [];
  const ask = (reason: string): void => void found.push({ decision: 'ask', reason });
  if (
    settings.some(
      (key) =>
        /^(alias|core|credential|diff|filter|gpg|include|includeif|merge|protocol|remote|sequence|url|uploadpack|http|ssh|$)/i.test(key) ||
        isUnknown(key),
    )
  )
    ask('git -c can make git run other programs, or reach other places');
  if (command === UNKNOWN) ask('that is no command of git that is known: it can be an alias, or is only known when it runs');
  if (command === 'remote' && first !== undefined && !['show', 'get-url'].includes(first)) ask('it changes the remotes of the repository');
  if (command === 'config' && !isConfigRead(rest)) ask('it changes the configuration of git');
  if (['submodule', 'worktree'].includes(command) && first !== undefined && ['add', 'set-url', 'move', 'remove'].includes(first))
    ask(`git ${command} ${first} changes the repository beyond its files`);
  return found;
}

function isConfigRead(args: readonly string[]): boolean {
  if (args.some((arg) => /^(--get.*|--list|-l)$/.test(arg)) || args[0] === 'get' || args[0] === 'list') return true;
  const plain = args.filter((arg) => !arg.startsWith('-'));
  return plain.length === 1 && !args.some((arg) => /^(--unset|--add|--replace|--edit|-e|--remove|--rename)/.test(arg));
}

function removalFindings(
  program: string,
  args: readonly Word[],
  folders: readonly (string | undefined)[],
  around: Surroundings,
): Finding[] {
  const texts = args.map(({ text }) => text);
  const isRecursive =
    program === 'find' ? texts.includes('-delete') : texts.some((text) => text === '--recursive' || /^-[a-zA-Z]*[rR]/.test(text));
  const until = texts.findIndex((text) => /^[-(!]/.test(text));
  const targets = program === 'find' ? texts.slice(0, until === -1 ? undefined : until) : texts.filter(isPath);
  if (program === 'find' && !isRecursive) return [];
  const found: Finding[] = [];
  for (const target of targets) {
    if (target.startsWith(UNKNOWN)) {
      // `$x/` and `$x/*` are `/` and `/*` when x is empty.
      const canBeAll = new RegExp(`^${UNKNOWN}+/${OPEN}*$`).test(target);
      if (isRecursive && (canBeAll || !around.isSandboxed))
        found.push({ decision: 'ask', reason: 'what it removes is only known when it runs' });
      continue;
    }
    if (isRecursive && !target.startsWith('/') && folders.includes(undefined) && !around.isSandboxed)
      found.push({ decision: 'ask', reason: 'where it removes is only known when it runs' });
    if (isOutside(target, folders, around.root))
      found.push({ decision: isRecursive ? 'deny' : 'ask', reason: `it removes ${tell(target)}, which is outside of the workspace` });
    else if (isRecursive && folders.some((folder) => isAllOf(resolvePath(target, folder), around.root)))
      found.push({ decision: 'ask', reason: 'it removes the whole workspace' });
    if (/(^|\/)\.git(\/|$)/.test(target)) found.push({ decision: 'ask', reason: 'it removes the data of git' });
  }
  return found;
}

function isAllOf(path: string | undefined, root: string): boolean {
  const plain = path?.replace(/\/$/, '');
  return plain === root || plain === `${root}/${OPEN}`;
}

function isPath(text: string): boolean {
  return text !== '' && !text.startsWith('-');
}

/** Outside of the workspace and of `/tmp`, from any of the folders it may run in. */
function isOutside(path: string, folders: readonly (string | undefined)[], root: string): boolean {
  if (path.startsWith('~')) return true;
  return folders.some((folder) => {
    const resolved = resolvePath(path, folder);
    return resolved !== undefined && !isWithin(resolved, root) && !(isWithin(resolved, '/tmp') && posix.normalize(resolved) !== '/tmp');
  });
}

function reachesApi(words: readonly Word[], api: readonly string[]): boolean {
  const text = words.map((word) => word.text).join(' ');
  return api.some((address) => {
    const at = address.lastIndexOf(':');
    const host = address.slice(0, at);
    const isLoopback = /^(127\..*|localhost|\[?::1\]?|0\.0\.0\.0)$/.test(host);
    const hosts = [host, ...(isLoopback ? ['localhost', '127.0.0.1', '[::1]', '::1', '0.0.0.0'] : [])].map((name) =>
      name.replaceAll(/[.[\]]/g, '\\$&'),
    );
    return new RegExp(`(${hosts.join('|')})[:\\s/]+${address.slice(at + 1)}(?!\\d)`).test(text);
  });
}

function tell(path: string): string {
  return path.replaceAll(UNKNOWN, '…').replaceAll(OPEN, '*');
}
