import type { TaskDetail, TaskView } from '@helixcode/protocol/api/views';
import { CodedError, ERROR_CODES, isErrorCode } from '@helixcode/protocol/errors';
import type { Event } from '@helixcode/protocol/event/events';
import { EXIT_CODES } from '@helixcode/protocol/exit-codes';
import { isSettled } from '@helixcode/protocol/task/task-state';
import type { Connection } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';
import { openLiveRegion } from '../output/live-region.ts';
import { oneLine } from '../output/text-width.ts';
import { changeLine } from './change-line.ts';
import { listenToInterrupts } from './interrupts.ts';
import { renderTree } from './render-tree.ts';
import { applyEvent, type Change, childrenOf, createTaskModel, type FailedTest, rootOf, type TaskModel } from './task-model.ts';

export interface FollowOptions {
  /** Follow for so long at most. */
  waitMs?: number | undefined;
  /** The output of the command has the screen: only a long wait is told. */
  isQuiet?: boolean;
  /** Told of the model at first and at each change. */
  onModel?: (model: TaskModel) => void;
}

const SILENCE_MS = 2_000;

/**
 * Follows a task until it is over, and shows how it goes: a live tree on a terminal, one line per change elsewhere, each event
 * as JSON on stdout with `--jsonl`. Ctrl-C detaches; a second one cancels, after asking where somebody can be asked.
 *
 * @returns the task at its end; `undefined` when the person detached (the exit status is set)
 * @throws CodedError `cli.wait_timed_out`
 */
export async function followTask(
  context: HelixContext,
  connection: Connection,
  task: Pick<TaskView, 'id' | 'root'>,
  options: FollowOptions = {},
): Promise<TaskDetail | undefined> {
  const stop = new AbortController();
  const interrupts = listenToInterrupts(context, stop, {
    what: `task ${task.id}`,
    back: `helix tasks show ${task.id} --follow`,
    cancel: () => connection.call('tasks.cancel', { params: { task: task.id } }),
  });
  const stopUnread = (): void => stop.abort();
  context.readerGone.addEventListener('abort', stopUnread);
  const { waitMs } = options;
  const timer = waitMs === undefined ? undefined : setTimeout(() => stop.abort(waitTimedOut(task.id, waitMs)), waitMs);
  const live = await connection.live();
  try {
    for (;;) {
      const end = await followOnce(context, connection, task, options, stop.signal);
      if (end !== 'again') return end;
    }
  } finally {
    clearTimeout(timer);
    interrupts.close();
    live.close();
    context.readerGone.removeEventListener('abort', stopUnread);
  }
}

/** @returns `again` when more happened than the server keeps, so that the present state has to be read anew */
async function followOnce(
  context: HelixContext,
  connection: Connection,
  task: Pick<TaskView, 'id' | 'root'>,
  options: FollowOptions,
  signal: AbortSignal,
): Promise<TaskDetail | undefined | 'again'> {
  const topic = `task:${task.root}`;
  const readDetail = (): Promise<TaskDetail> => connection.call('tasks.get', { params: { task: task.id } });
  // The sequence number comes first: what happens while the task is read is told again, and then changes nothing.
  const { newest } = await connection.call('events.list', { query: { topic, limit: 1 } });
  const [detail, { items: workers }] = await Promise.all([readDetail(), connection.call('workers.list')]);
  const model = createTaskModel(
    detail,
    workers.map((worker) => [worker.id, worker.name] as const),
  );
  options.onModel?.(model);
  if (isSettled(detail.state)) return detail;

  const screen = openScreen(context, model, options.isQuiet ?? false);
  const unread = new Set<string>();
  try {
    const live = await connection.live();
    for await (const event of live.subscribe({ topic, after: newest, signal })) {
      if (context.out.format === 'jsonl') context.out.json(event);
      const changes = applyEvent(model, event);
      screen.take(changes);
      options.onModel?.(model);
      if (isSettled(rootOf(model).state)) return await readDetail();
      if (isFailedTestLeaf(event, model)) unread.add(event.task ?? '');
      // Progress of the whole is told when results were read: then those that failed can be asked for.
      else if (event.task === model.root && event.body.type === 'task.progress') await tellFailedTests(connection, model, unread, screen);
    }
  } catch (error) {
    if (error instanceof CodedError && error.code === 'api.cursor_too_old') return 'again';
    throw error;
  } finally {
    screen.close();
  }
  if (signal.reason instanceof CodedError) throw signal.reason;
  if (!context.readerGone.aborted) context.exitStatus = EXIT_CODES.interrupted.status;
  return undefined;
}

/** Exit status of a task that is over. */
export function exitStatusOf({ state, failure }: Pick<TaskView, 'state' | 'failure'>): number {
  if (state === 'completed') return EXIT_CODES.ok.status;
  if (state === 'cancelled') return EXIT_CODES.cancelled.status;
  // A task that could not begin (a wrong configuration, a full disk) is another thing than one that ran and failed.
  return failure && isErrorCode(failure.code) ? ERROR_CODES[failure.code].exit : EXIT_CODES.taskFailed.status;
}

interface Screen {
  take(changes: Change[]): void;
  close(): void;
}

function openScreen(context: HelixContext, model: TaskModel, isQuiet: boolean): Screen {
  const { out } = context;
  if (out.format === 'jsonl') return { take() {}, close() {} };
  if (isQuiet || !out.canDraw) return openLines(context, model, isQuiet);
  const region = openLiveRegion(process.stderr, (width, height) =>
    renderTree(model, { width, height, nowMs: Date.now(), style: out.noteStyle }),
  );
  out.region = region;
  region.update();
  return {
    take: () => region.update(),
    close() {
      out.region = undefined;
      region.close();
    },
  };
}

/** Each change as a line, and after two silent seconds what is being waited for. */
function openLines(context: HelixContext, model: TaskModel, isQuiet: boolean): Screen {
  let timer: NodeJS.Timeout | undefined;
  let said: string | undefined;
  const listen = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const reason = whatIsWaitedFor(model);
      if (reason !== undefined && reason !== said) context.out.note(reason);
      said = reason;
      listen();
    }, SILENCE_MS);
  };
  listen();
  return {
    take(changes) {
      for (const change of isQuiet ? [] : changes) {
        const line = changeLine(change, model);
        if (line === undefined) continue;
        context.out.note(line);
        listen();
      }
    },
    close: () => clearTimeout(timer),
  };
}

/** Why nothing happens: what tasks that have not begun wait for; nothing to tell where one runs. */
export function whatIsWaitedFor(model: TaskModel): string | undefined {
  const root = rootOf(model);
  const children = childrenOf(model);
  const leaves = children.length > 0 ? children : [root];
  if (leaves.some((node) => node.state === 'running')) return undefined;
  const waiting = [...leaves, root].find((node) => node.waitingFor !== undefined);
  return waiting && `waiting: ${oneLine(waiting.name)}: ${oneLine(waiting.waitingFor ?? '')}`;
}

/** Part of a test run whose command did not end well: some of its tests have failed. */
function isFailedTestLeaf({ task, body }: Event, model: TaskModel): boolean {
  return (
    rootOf(model).kind === 'test' && task !== model.root && body.type === 'attempt.moved' && body.to === 'exited' && body.exitCode !== 0
  );
}

async function tellFailedTests(connection: Connection, model: TaskModel, unread: Set<string>, screen: Screen): Promise<void> {
  for (const leaf of unread) {
    const { result } = await connection.call('tasks.get', { params: { task: leaf } });
    const failures = (result as { failures?: FailedTest[] } | undefined)?.failures;
    if (failures === undefined) continue;
    unread.delete(leaf);
    const news = failures.filter((test) => !model.failedTests.some(({ unit, name }) => unit === test.unit && name === test.name));
    model.failedTests.push(...news);
    screen.take(news.map((test) => ({ type: 'failedTest', test })));
  }
}

function waitTimedOut(id: string, waitMs: number): CodedError {
  return new CodedError('cli.wait_timed_out', `task ${id} is not over after ${waitMs / 1_000} s; it goes on`, {
    next: `helix tasks show ${id} --follow`,
  });
}
