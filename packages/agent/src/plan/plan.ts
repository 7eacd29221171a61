import { z } from 'zod';

export const SUBTASK_KINDS = ['agent', 'shell', 'build', 'test'] as const;

export const subtask = z.strictObject({
  id: z.string().regex(/^[a-z0-9][a-z0-9-]{0,39}$/),
  title: z.string().min(1).max(200),
  kind: z.enum(SUBTASK_KINDS),
  detail: z.string().max(4_000).describe('goal for an agent, command for shell'),
  needs: z.array(z.string()).describe('ids that must be done first'),
  files: z.array(z.string()).describe('files it will change'),
  minutes: z.number().positive(),
  costUsd: z.number().nonnegative(),
});
export type Subtask = z.infer<typeof subtask>;

/** What a person agrees to before anything is changed: subtasks, what each needs, and what it will take. */
export const plan = z.strictObject({
  summary: z.string().min(1).max(4_000),
  subtasks: z.array(subtask).min(1).max(100),
  risks: z.array(z.string().max(500)),
});
export type Plan = z.infer<typeof plan>;

/** What a plan adds up to. */
export interface PlanTotals {
  costUsd: number;
  /** One after the other. */
  minutes: number;
  /** With as many at a time as their needs allow. */
  minutesInParallel: number;
  /** Pairs that change the same file and may run at the same time: whoever integrates them has to expect conflicts. */
  overlaps: { file: string; subtasks: string[] }[];
}

/** What is wrong with a plan beyond its shape, in sentences; empty when it can run. */
export function planProblems({ subtasks }: Plan): string[] {
  const problems: string[] = [];
  const ids = new Set<string>();
  for (const { id } of subtasks) {
    if (ids.has(id)) problems.push(`two subtasks are called ${id}`);
    ids.add(id);
  }
  for (const { id, needs } of subtasks)
    for (const need of needs) if (!ids.has(need)) problems.push(`${id} needs ${need}, which is not in the plan`);
  if (problems.length === 0) {
    const waiting = waitingForever(subtasks);
    if (waiting.length > 0) problems.push(`${waiting.join(', ')} need each other in a circle`);
  }
  return problems;
}

/** @param plan without problems */
export function planTotals({ subtasks }: Plan): PlanTotals {
  const endMinutes = new Map<string, number>();
  const byId = new Map(subtasks.map((one) => [one.id, one]));
  const endOf = (one: Subtask): number => {
    const known = endMinutes.get(one.id);
    if (known !== undefined) return known;
    const start = Math.max(0, ...one.needs.map((need) => endOf(byId.get(need) as Subtask)));
    endMinutes.set(one.id, start + one.minutes);
    return start + one.minutes;
  };
  return {
    costUsd: subtasks.reduce((sum, one) => sum + one.costUsd, 0),
    minutes: subtasks.reduce((sum, one) => sum + one.minutes, 0),
    minutesInParallel: Math.max(...subtasks.map(endOf)),
    overlaps: overlapsOf(subtasks),
  };
}

function waitingForever(subtasks: readonly Subtask[]): string[] {
  let waiting = [...subtasks];
  const done = new Set<string>();
  for (;;) {
    const ready = waiting.filter(({ needs }) => needs.every((need) => done.has(need)));
    if (ready.length === 0) return waiting.map(({ id }) => id);
    for (const { id } of ready) done.add(id);
    waiting = waiting.filter(({ id }) => !done.has(id));
  }
}

function overlapsOf(subtasks: readonly Subtask[]): PlanTotals['overlaps'] {
  const before = new Map<string, Set<string>>();
  const byId = new Map(subtasks.map((one) => [one.id, one]));
  const allBefore = (one: Subtask): Set<string> => {
    const known = before.get(one.id);
    if (known) return known;
    const all = new Set(one.needs.flatMap((need) => [need, ...allBefore(byId.get(need) as Subtask)]));
    before.set(one.id, all);
    return all;
  };
  const byFile = Map.groupBy(
    subtasks.flatMap((one) => one.files.map((file) => ({ file, one }))),
    ({ file }) => file,
  );
  return [...byFile].flatMap(([file, uses]) => {
    const atOnce = uses.filter(({ one }) =>
      uses.some(({ one: other }) => other !== one && !allBefore(one).has(other.id) && !allBefore(other).has(one.id)),
    );
    return atOnce.length > 0 ? [{ file, subtasks: atOnce.map(({ one }) => one.id) }] : [];
  });
}
