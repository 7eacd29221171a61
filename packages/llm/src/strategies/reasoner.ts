import { CodedError } from '@helixcode/protocol/errors';
import { z } from 'zod';
import {
  collect,
  type JsonObject,
  type Message,
  type ModelDone,
  type ModelPort,
  type ModelRequest,
  type ModelUsage,
  textOf,
} from '../model-port.ts';
import { type ReasoningBudget, Spending } from './reasoning-budget.ts';

/** What every strategy needs. */
export interface ReasoningTask {
  port: ModelPort;
  model: string;
  /** What is to be found out, or done. */
  question: string;
  /** Conversation before it: instructions, what is known. */
  context?: Message[];
  budget: ReasoningBudget;
  signal: AbortSignal;
  /** Told as they happen. */
  onStep?: (step: ReasoningStep) => void;
}

/** One thing a strategy did, for the trace that people read. */
export interface ReasoningStep {
  /** Such as `propose`, `score`, `prune`, `critique`, `tool`. */
  kind: string;
  text: string;
  /** Place in a tree, for strategies that have one. */
  node?: number;
  parent?: number;
  score?: number;
}

/** How a strategy ended: with an answer it stands by, with the best one within its budget, or with the best one after all it may try. */
export type ReasoningEnding = 'accepted' | 'budget' | 'exhausted';

export interface ReasoningResult {
  /** The best there is; `undefined` when the budget ended before any. */
  answer: string | undefined;
  ending: ReasoningEnding;
  trace: ReasoningStep[];
  calls: number;
  usage: ModelUsage;
  costUsd: number | undefined;
}

/** Thrown inside a strategy when the budget allows no further call; never leaves it. */
export class BudgetSpent extends Error {}

/** The calls of one strategy: counted, traced, and stopped at the budget. */
export class Reasoner {
  readonly #task: ReasoningTask;
  readonly #spending: Spending;
  readonly #trace: ReasoningStep[] = [];

  constructor(task: ReasoningTask) {
    this.#task = task;
    this.#spending = new Spending(task.budget);
  }

  note(step: ReasoningStep): void {
    this.#trace.push(step);
    this.#task.onStep?.(step);
  }

  canCall(): boolean {
    return this.#spending.canCall();
  }

  /** One call: the context and the question first, then `messages`. @throws BudgetSpent; the CodedError of the port */
  async ask(messages: Message[], more: Omit<Partial<ModelRequest>, 'messages' | 'model'> = {}): Promise<ModelDone> {
    if (!this.#spending.canCall()) throw new BudgetSpent();
    this.#spending.begin();
    const { port, model, signal } = this.#task;
    const done = await collect(port.stream({ ...more, model, messages: this.#withQuestion(messages) }, signal));
    this.#spending.add(done);
    return done;
  }

  /**
   * One call answered by JSON of a shape. A model that answers something else is told what is wrong, once.
   *
   * @throws CodedError `model.bad_response` when the second answer is not of the shape either
   */
  async askJson<Value>(name: string, shape: z.ZodType<Value>, instruction: string): Promise<Value> {
    const schema = z.toJSONSchema(shape) as JsonObject;
    // The port checks JSON itself where the vendor can be told; elsewhere the words have to do.
    const isPromised = this.#task.port.capabilities(this.#task.model).structuredOutput !== 'prompt';
    const output = isPromised ? { output: { name, schema } } : {};
    const messages: Message[] = [user(`${instruction}\n\nAnswer with JSON of this schema and nothing else:\n${JSON.stringify(schema)}`)];
    for (let attempt = 1; ; attempt++) {
      const { message } = await this.ask(messages, output);
      const read = readJson(textOf(message), shape);
      if ('value' in read) return read.value;
      if (attempt === 2)
        throw new CodedError('model.bad_response', `${this.#task.model} did not answer with the asked JSON: ${read.problem}`, {
          next: 'choose a stronger model: helix models list',
        });
      messages.push(message, user(`That is not the asked JSON: ${read.problem}. Answer again, with the JSON only.`));
    }
  }

  result(answer: string | undefined, ending: ReasoningEnding): ReasoningResult {
    const { calls, usage, costUsd } = this.#spending;
    return { answer, ending, trace: this.#trace, calls, usage, costUsd };
  }

  #withQuestion(messages: Message[]): Message[] {
    const before = [...(this.#task.context ?? []), user(this.#task.question)];
    // Two messages of a person in a row are refused by some vendors.
    const [first, ...rest] = messages;
    const last = before.at(-1);
    if (first?.role !== 'user' || last?.role !== 'user') return [...before, ...messages];
    return [...before.slice(0, -1), { ...last, parts: [...last.parts, { type: 'text', text: '\n\n' }, ...first.parts] }, ...rest];
  }
}

export function user(text: string): Message {
  return { role: 'user', parts: [{ type: 'text', text }] };
}

/** JSON alone, or the first fenced or braced piece of a chatty answer. */
function readJson<Value>(text: string, shape: z.ZodType<Value>): { value: Value } | { problem: string } {
  const fenced = /```(?:json)?\s*([\s\S]*?)```/.exec(text)?.[1];
  const braced = /[[{][\s\S]*[\]}]/.exec(text)?.[0];
  let problem = 'no JSON in it';
  for (const candidate of [text, fenced, braced]) {
    if (candidate === undefined) continue;
    try {
      const read = shape.safeParse(JSON.parse(candidate));
      if (read.success) return { value: read.data };
      const [issue] = read.error.issues;
      problem = `${issue?.path.join('.') || 'the value'}: ${issue?.message}`;
    } catch {
      // The next candidate may be better.
    }
  }
  return { problem };
}
