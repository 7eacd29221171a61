import { countOf, formatUsd } from '../output/amounts.ts';
import type { Style } from '../output/style.ts';
import { oneLine, severalLines } from '../output/text-width.ts';

/** A plan as a person reads it before agreeing: what is to be done, what each part needs, and what it will take. */
export function planLines(plan: unknown, style: Style): string[] {
  if (!isRecord(plan) || !Array.isArray(plan.subtasks)) return plan === undefined ? [] : severalLines(JSON.stringify(plan, null, 2));
  const subtasks = plan.subtasks.filter(isRecord);
  const minutes = sum(subtasks, 'minutes');
  const costUsd = sum(subtasks, 'costUsd');
  return [
    ...severalLines(textOf(plan, 'summary').trim()),
    ...subtasks.flatMap((subtask) => subtaskLines(subtask, style)),
    ...textsOf(plan, 'risks').map((risk) => `${style.yellow('risk:')} ${oneLine(risk)}`),
    `${countOf(subtasks.length, 'subtask')}, ${formatMinutes(minutes)} one after the other, about ${formatUsd(costUsd)}`,
  ];
}

function subtaskLines(subtask: Record<string, unknown>, style: Style): string[] {
  const needs = textsOf(subtask, 'needs');
  const files = textsOf(subtask, 'files');
  const facts = [
    textOf(subtask, 'kind'),
    needs.length > 0 && `after ${needs.join(', ')}`,
    typeof subtask.minutes === 'number' && formatMinutes(subtask.minutes),
    typeof subtask.costUsd === 'number' && formatUsd(subtask.costUsd),
  ].filter((fact) => fact !== false && fact !== '');
  return [
    `  ${style.bold(oneLine(textOf(subtask, 'id')))}  ${oneLine(textOf(subtask, 'title'))}  ${style.dim(oneLine(facts.join(', ')))}`,
    ...(files.length > 0 ? [style.dim(`    ${oneLine(files.join(', '))}`)] : []),
  ];
}

/** As a plan has them: whole, or halves of one. */
function formatMinutes(minutes: number): string {
  return `${Number(minutes.toFixed(1))} min`;
}

function sum(subtasks: readonly Record<string, unknown>[], key: string): number {
  return subtasks.reduce((total, { [key]: value }) => total + (typeof value === 'number' ? value : 0), 0);
}

function textOf(record: Record<string, unknown>, key: string): string {
  return typeof record[key] === 'string' ? record[key] : '';
}

function textsOf(record: Record<string, unknown>, key: string): string[] {
  return Array.isArray(record[key]) ? record[key].filter((item) => typeof item === 'string') : [];
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
