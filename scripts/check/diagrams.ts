import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MERGE_MOVES } from '@helixcode/protocol/merge/merge-state';
import { ATTEMPT_MOVES } from '@helixcode/protocol/task/attempt-state';
import { TASK_MOVES } from '@helixcode/protocol/task/task-state';
import { WORKER_MOVES } from '@helixcode/protocol/worker/worker-state';

/** Pages that show a table of moves, and the marker between whose two copies the drawing stands. */
const DRAWINGS = [
  { page: 'docs/task-lifecycle.md', marker: 'task moves', draw: () => drawCommands(TASK_MOVES, 'pending') },
  { page: 'docs/task-lifecycle.md', marker: 'attempt moves', draw: () => drawCommands(nameMoves(ATTEMPT_MOVES), 'assigned') },
  { page: 'docs/merge-queue.md', marker: 'merge moves', draw: () => drawCommands(MERGE_MOVES, 'waiting') },
  { page: 'docs/workers.md', marker: 'worker moves', draw: () => drawCommands(WORKER_MOVES, 'new') },
];

/** Pages whose drawing is not what the tables say. */
export async function checkDiagrams(root = process.cwd()): Promise<string[]> {
  return DRAWINGS.filter(({ page, marker, draw }) => {
    const text = readFileSync(join(root, page), 'utf8');
    return replaceBetween(text, marker, draw()) !== text;
  }).map(({ page, marker }) => `${page}: the drawing of the ${marker} is not that of the table; run npm run diagrams`);
}

/** Draws all pages afresh. */
export function drawDiagrams(root = process.cwd()): void {
  for (const { page, marker, draw } of DRAWINGS) {
    const file = join(root, page);
    writeFileSync(file, replaceBetween(readFileSync(file, 'utf8'), marker, draw()));
  }
}

function drawCommands(table: Record<string, Partial<Record<string, string>>>, start: string): string {
  const lines = Object.entries(table).flatMap(([from, moves]) => {
    const commandsByTarget = new Map<string, string[]>();
    for (const [command, to] of Object.entries(moves)) if (to) commandsByTarget.set(to, [...(commandsByTarget.get(to) ?? []), command]);
    return [...commandsByTarget].map(([to, commands]) => `  ${from} --> ${to}: ${commands.join(', ')}`);
  });
  const ends = Object.entries(table)
    .filter(([, moves]) => Object.keys(moves).length === 0)
    .map(([state]) => `  ${state} --> [*]`);
  return ['```mermaid', 'stateDiagram-v2', `  [*] --> ${start}`, ...lines, ...ends, '```'].join('\n');
}

/** A table without commands: a move is named by where it leads. */
function nameMoves(table: Record<string, readonly string[]>): Record<string, Record<string, string>> {
  return Object.fromEntries(Object.entries(table).map(([from, targets]) => [from, Object.fromEntries(targets.map((to) => [to, to]))]));
}

function replaceBetween(text: string, marker: string, drawing: string): string {
  const mark = `<!-- ${marker} -->`;
  const [before, , after] = text.split(mark);
  if (before === undefined || after === undefined) throw new Error(`the marker ${mark} does not stand twice`);
  return `${before}${mark}\n${drawing}\n${mark}${after}`;
}

if (import.meta.main) drawDiagrams();
