import type { TaskState } from '@helixcode/protocol/task/task-state';
import { countOf, formatMs } from '../output/amounts.ts';
import type { Style } from '../output/style.ts';
import { fitText, oneLine, padText, textWidth } from '../output/text-width.ts';
import { childrenOf, type FailedTest, rootOf, type TaskModel, type TaskNode } from './task-model.ts';

export interface View {
  /** Cells of a line. */
  width: number;
  /** Lines at most. */
  height: number;
  nowMs: number;
  style: Style;
}

const BAR_CELLS = 20;
const MOST_FAILED_TESTS = 5;
/** What is worth a line when not all have one: what runs and what failed, then what waits, then what is done. */
const RANK: Record<TaskState, number> = { running: 0, failed: 1, paused: 2, pending: 3, blocked: 4, cancelled: 5, completed: 6 };

/** The tree as lines for a terminal: the task itself, its subtasks, and the tests known to have failed; never more than fit. */
export function renderTree(model: TaskModel, view: View): string[] {
  const { width, height, style } = view;
  const children = childrenOf(model);
  const failed = model.failedTests.slice(-Math.max(0, Math.min(MOST_FAILED_TESTS, Math.floor(height / 3))));
  const room = height - 1 - failed.length;
  const shown = pick(children, children.length <= room ? room : room - 1);
  const nameWidth = Math.min(Math.floor(width / 2), Math.max(0, ...shown.map((node) => textWidth(oneLine(node.name)))));
  const lines = [
    renderRoot(rootOf(model), children, model.failedTests.length, view),
    ...shown.map((node) => renderNode(node, nameWidth, view)),
  ];
  if (shown.length < children.length && lines.length + failed.length < height)
    lines.push(`  ${style.dim(summarise(children, shown, style))}`);
  for (const test of failed) lines.push(renderFailedTest(test, view));
  return lines.slice(0, height).map((line) => fitText(line, width, style.glyphs.ellipsis));
}

/** `✔ completed`, in the colour of the state. */
export function renderState(state: TaskState, style: Style): string {
  const { glyphs } = style;
  switch (state) {
    case 'completed':
      return style.green(`${glyphs.done} completed`);
    case 'failed':
      return style.red(`${glyphs.failed} failed`);
    case 'running':
      return style.cyan(`${glyphs.running} running`);
    case 'paused':
      return style.yellow(`${glyphs.paused} paused`);
    case 'cancelled':
      return style.dim(`${glyphs.cancelled} cancelled`);
    case 'pending':
    case 'blocked':
      return style.dim(`${glyphs.waiting} ${state === 'pending' ? 'waiting' : 'blocked'}`);
  }
}

/** Where and why a test failed, on one line. */
export function renderFailedTest(test: FailedTest, { style }: Pick<View, 'style'>): string {
  const place = test.file === undefined ? test.unit : `${test.file}${test.line === undefined ? '' : `:${test.line}`}`;
  const message = test.message === undefined ? '' : style.dim(`  ${oneLine(test.message.split('\n', 1)[0] ?? '')}`);
  return `  ${style.red(style.glyphs.failed)} ${oneLine(place)} ${style.bold(oneLine(test.name))}${message}`;
}

function renderRoot(root: TaskNode, children: TaskNode[], failedTests: number, { nowMs, style }: View): string {
  const parts = [renderState(root.state, style), style.bold(oneLine(root.name))];
  if (root.progress && root.progress.total > 0) {
    const { phase, done, total } = root.progress;
    const full = Math.round((BAR_CELLS * Math.min(done, total)) / total);
    parts.push(
      `${style.cyan(style.glyphs.barFull.repeat(full))}${style.dim(style.glyphs.barEmpty.repeat(BAR_CELLS - full))}`,
      `${done}/${total}`,
      phase,
    );
  } else if (root.progress) parts.push(root.progress.phase);
  const broken = children.filter((node) => node.state === 'failed').length;
  if (failedTests > 0) parts.push(style.red(countOf(failedTests, 'failed test')));
  else if (broken > 0) parts.push(style.red(`${broken} failed`));
  if (root.worker !== undefined) parts.push(style.dim(oneLine(root.worker)));
  if (root.waitingFor !== undefined) parts.push(style.yellow(oneLine(root.waitingFor)));
  if (root.startedMs !== undefined) parts.push(style.dim(formatMs((root.finishedMs ?? nowMs) - root.startedMs)));
  return parts.join('  ');
}

function renderNode(node: TaskNode, nameWidth: number, { nowMs, style }: View): string {
  const stateWidth = 12;
  const parts = [
    padText(renderState(node.state, style), stateWidth),
    padText(fitText(oneLine(node.name), nameWidth, style.glyphs.ellipsis), nameWidth),
  ];
  if (node.worker !== undefined) parts.push(style.dim(oneLine(node.worker)));
  if (node.attempt && node.attempt.number > 1) parts.push(style.yellow(`attempt ${node.attempt.number}`));
  if (node.attempt?.state === 'preparing') parts.push(style.dim('preparing the checkout'));
  if (node.startedMs !== undefined) parts.push(style.dim(formatMs((node.finishedMs ?? nowMs) - node.startedMs)));
  if (node.waitingFor !== undefined) parts.push(style.dim(oneLine(node.waitingFor)));
  if (node.failure) parts.push(style.red(oneLine(node.failure.message)));
  return `  ${parts.join('  ')}`;
}

/** The most telling ones, in the order in which they were made. */
function pick(children: TaskNode[], room: number): TaskNode[] {
  if (children.length <= room) return children;
  const chosen = new Set([...children].sort((a, b) => RANK[a.state] - RANK[b.state]).slice(0, Math.max(0, room)));
  return children.filter((node) => chosen.has(node));
}

function summarise(children: TaskNode[], shown: TaskNode[], style: Style): string {
  const isShown = new Set(shown);
  const counts = new Map<string, number>();
  for (const node of children) {
    if (isShown.has(node)) continue;
    const word = node.state === 'pending' ? 'waiting' : node.state;
    counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return `${style.glyphs.ellipsis} ${[...counts].map(([word, count]) => `${count} ${word}`).join(', ')} more`;
}
