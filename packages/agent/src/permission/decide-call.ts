import type { JsonObject } from '@helixcode/llm/model-port';
import type { AgentPermissions } from '@helixcode/protocol/config/agent-config';
import { parsePatch } from '../edit/parse-patch.ts';
import { type Finding, findings, type Surroundings, secretFile } from './built-in.ts';
import { OPEN, UNKNOWN } from './parse-shell.ts';
import { nameMatches, pathMatches, pathsIn, resolvePath } from './path-rule.ts';
import { parseRule, permits, type Rule, speaksOf } from './rule.ts';
import { commandsOf, isTransparent, type RunCommand } from './run-commands.ts';

/** May a call be made? `ask`: after the word of a person. */
export interface Permission {
  decision: 'allow' | 'ask' | 'deny';
  /** For a person who is asked, and for the model that is refused. Absent for `allow`. */
  reason?: string;
  /** The rule of the configuration that decided, as it is written. */
  rule?: string;
}

interface Rules {
  allow: Rule[];
  ask: Rule[];
  deny: Rule[];
}

const ALLOWED: Permission = { decision: 'allow' };
const RANK = { allow: 0, ask: 1, deny: 2 };

/** Commands that only look, and so run anywhere. */
const HARMLESS = [
  ...[
    '[',
    'basename',
    'cat',
    'cd',
    'cmp',
    'cut',
    'date',
    'diff',
    'dirname',
    'echo',
    'false',
    'file',
    'grep',
    'head',
    'id',
    'ls',
    'printf',
    'pwd',
    'realpath',
  ],
  ...[
    'stat',
    'tail',
    'test',
    'tr',
    'true',
    'uname',
    'uniq',
    'wc',
    'which',
    'git blame',
    'git diff',
    'git log',
    'git ls-files',
    'git rev-parse',
    'git show',
    'git status',
  ],
].map((of): Rule => ({ text: `shell: ${of}`, subject: 'shell', of }));

/**
 * Decides whether a call may be made. What is denied, by a rule or by what is built in, is denied whatever else is said.
 * Then come the rules that ask, those that allow, what is asked for without a rule, and what holds for everything else.
 * A command that cannot be read, or whose programs are only known when it runs, is asked for at least.
 *
 * @param call a tool, and its input as the tool accepts it
 */
export function decideCall(call: { tool: string; input: JsonObject }, permissions: AgentPermissions, around: Surroundings): Permission {
  const rules: Rules = {
    allow: permissions.allow.map(parseRule),
    ask: permissions.ask.map(parseRule),
    deny: permissions.deny.map(parseRule),
  };
  const { tool, input } = call;
  switch (tool) {
    case 'shell':
      return decideShell(textOf(input['command']), textOf(input['folder']), permissions, rules, around);
    case 'read':
    case 'list':
    case 'search':
      return decideFile('read', textOf(input['path']), rules, around);
    case 'edit':
    case 'write':
      return decideFile('write', textOf(input['path']), rules, around);
    case 'apply_patch':
      return strictest(patchedPaths(textOf(input['patch'])).map((path) => decideFile('write', path, rules, around)));
    default:
      return decideBySubject((rule) => rule.subject === tool, rules);
  }
}

function decideBySubject(isMeant: (rule: Rule) => boolean, rules: Rules, builtIn: Permission = ALLOWED): Permission {
  const denied = rules.deny.find(isMeant);
  if (denied) return byRule('deny', denied);
  const asked = rules.ask.find(isMeant);
  if (asked) return byRule('ask', asked);
  return rules.allow.some(isMeant) ? ALLOWED : builtIn;
}

function decideFile(subject: 'read' | 'write', path: string, rules: Rules, around: Surroundings): Permission {
  const secret = secretFile(path, around.root);
  return decideBySubject(
    (rule) => speaksOfPath(rule, subject, path, around.root),
    rules,
    secret && { decision: 'ask', reason: secret.reason },
  );
}

function speaksOfPath(rule: Rule, subject: 'read' | 'write', path: string, root: string): boolean {
  return rule.subject === subject && (rule.of === undefined || pathMatches(rule.of, path, root));
}

function decideShell(script: string, folder: string, permissions: AgentPermissions, rules: Rules, around: Surroundings): Permission {
  const { commands, unclear } = commandsOf(script);
  const folders: (string | undefined)[] = [resolvePath(folder, around.root) ?? around.root];
  const decided: Permission[] = unclear.map(({ problem }) => ({ decision: 'ask', reason: problem }));
  const whole = [...rules.deny, ...rules.ask].find((rule) => rule.subject === 'shell' && rule.of === undefined);
  if (whole) decided.push(byRule(rules.deny.includes(whole) ? 'deny' : 'ask', whole));
  for (const command of commands) {
    decided.push(decideCommand(command, folders, permissions, rules, around));
    if (command.program !== 'cd' && command.program !== 'pushd') continue;
    const target = command.words.slice(1).find(({ text }) => !text.startsWith('-'))?.text ?? '~';
    // Whether it comes to that, nobody knows: what follows may run in any of them.
    for (const from of [...folders]) {
      const to = resolvePath(target, from);
      if (!folders.includes(to)) folders.push(to);
    }
  }
  return strictest(decided);
}

function decideCommand(
  command: RunCommand,
  folders: readonly (string | undefined)[],
  permissions: AgentPermissions,
  rules: Rules,
  around: Surroundings,
): Permission {
  const builtIn = findings(command, folders, around);
  const denied = rules.deny.map((rule) => ({ rule, match: matchOf(rule, command, folders, around) }));
  const sure = denied.find(({ match }) => match === 'yes');
  if (sure) return byRule('deny', sure.rule);
  const never = builtIn.find(({ decision }) => decision === 'deny');
  if (never) return { decision: 'deny', reason: never.reason };
  const perhaps = denied.find(({ match }) => match === 'maybe')?.rule;
  if (perhaps) return { decision: 'ask', reason: `it may be what the rule "${perhaps.text}" forbids`, rule: perhaps.text };
  const asked = rules.ask.find((rule) => matchOf(rule, command, folders, around) !== 'no');
  if (asked) return byRule('ask', asked);

  if (rules.allow.some((rule) => permits(rule, command))) return ALLOWED;
  const open = builtIn.find((finding) => !isAllowedPath(finding, rules, around.root));
  if (open) return { decision: 'ask', reason: open.reason };
  const usual = permissions.commands ?? (around.isSandboxed ? 'allow' : 'ask');
  if (usual === 'allow' || isTransparent(command.program)) return ALLOWED;
  const writes = command.redirections.some(({ operator, target }) => operator.includes('>') && !/^(\/dev\/null|\d+|-)$/.test(target.text));
  if (!writes && (command.program === '' || HARMLESS.some((rule) => permits(rule, command)))) return ALLOWED;
  return { decision: 'ask', reason: `no rule allows ${command.program === '' ? 'to write files' : tell(command)}` };
}

/** A rule about files speaks of a command that names such a file. */
function matchOf(rule: Rule, command: RunCommand, folders: readonly (string | undefined)[], around: Surroundings): 'yes' | 'maybe' | 'no' {
  if (rule.subject === 'shell') return rule.of === undefined ? 'no' : speaksOf(rule, command);
  const { of } = rule;
  if ((rule.subject !== 'read' && rule.subject !== 'write') || of === undefined) return 'no';
  const redirected = command.redirections.filter(({ operator }) => operator !== '<<').map(({ target }) => target);
  for (const word of [...command.words.slice(1), ...redirected]) {
    if (word.pattern !== undefined && !of.includes('*') && nameMatches(word, of.split('/').at(-1) ?? '')) return 'maybe';
    for (const path of pathsIn(word)) {
      const plain = path.replaceAll(UNKNOWN, '_').replaceAll(OPEN, '_');
      if (folders.some((folder) => pathMatches(of, resolvePath(plain, folder) ?? plain, around.root))) return 'yes';
    }
  }
  return 'no';
}

function isAllowedPath({ path }: Finding, rules: Rules, root: string): boolean {
  return (
    path !== undefined && rules.allow.some((rule) => speaksOfPath(rule, 'read', path, root) || speaksOfPath(rule, 'write', path, root))
  );
}

function patchedPaths(patch: string): string[] {
  const parsed = parsePatch(patch);
  // One that cannot be read changes nothing.
  if ('problem' in parsed) return [];
  return parsed.operations.flatMap((operation) => [
    operation.path,
    ...(operation.kind === 'update' && operation.moveTo !== undefined ? [operation.moveTo] : []),
  ]);
}

function strictest(decided: readonly Permission[]): Permission {
  return decided.reduce((worst, one) => (RANK[one.decision] > RANK[worst.decision] ? one : worst), ALLOWED);
}

function byRule(decision: 'ask' | 'deny', rule: Rule): Permission {
  return { decision, reason: `the rule "${rule.text}" ${decision === 'deny' ? 'forbids it' : 'asks for it'}`, rule: rule.text };
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function tell({ words }: RunCommand): string {
  return words
    .slice(0, 3)
    .map(({ text }) => text.replaceAll(UNKNOWN, '…').replaceAll(OPEN, '*'))
    .join(' ');
}
