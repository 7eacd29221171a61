import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Asked, Refusal, Say, Wire } from './wire.ts';

export const GOOD_KEY = 'test-key-0123456789';
export const GOOD_MODEL = 'test-model';
/** A longer request does not fit into the context of the models here. */
const CONTEXT_CHARACTERS = 200_000;

/** What the server does with its next chat. */
export type Act =
  | { say: Say; pauseMs?: number }
  | { refuse: Refusal; headers?: Record<string, string> }
  /** Sends that many pieces, then goes: with an orderly end, with a broken connection, or by saying no more (until the other side hangs up). */
  | { say: Say; pieces: number; goesBy: 'end' | 'reset' | 'silence' }
  | { say: Say; garbledPiece: number }
  | { failInStream: true };

/** A server on loopback that speaks one vendor's wire. */
export class WireServer {
  readonly #wire: Wire;
  readonly #server = createServer((request, response) => void this.#serve(request, response));
  readonly #acts: Act[] = [];
  readonly asked: Asked[] = [];
  /** Paths of every request, in order. */
  readonly paths: string[] = [];
  models = [GOOD_MODEL];
  #hungUp = Promise.withResolvers<void>();
  #silent = Promise.withResolvers<void>();

  constructor(wire: Wire) {
    this.#wire = wire;
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) => void this.#server.listen(0, '127.0.0.1', resolve));
    return this;
  }

  get baseUrl(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}${this.#wire.basePath}`;
  }

  next(...acts: Act[]): void {
    this.#acts.push(...acts);
  }

  forget(): void {
    this.#acts.length = 0;
    this.asked.length = 0;
    this.paths.length = 0;
    this.#hungUp = Promise.withResolvers();
    this.#silent = Promise.withResolvers();
  }

  /** Resolves when a client closes its connection before the answer was complete. */
  get hungUp(): Promise<void> {
    return this.#hungUp.promise;
  }

  /** Resolves when it has said what it is to say before its silence. */
  get silent(): Promise<void> {
    return this.#silent.promise;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? '/';
    this.paths.push(path);
    let text = '';
    for await (const piece of request) text += String(piece);
    const refuse = (why: Refusal, model: string, extra: Record<string, string> = {}): void => {
      const { status, body, headers } = this.#wire.refuse(why, model);
      response.writeHead(status, { 'content-type': 'application/json', ...headers, ...extra }).end(body);
    };

    const keyOf = this.#wire.keyOf;
    if (keyOf !== undefined && keyOf(request.headers) !== GOOD_KEY) return refuse('key', '');
    const list = this.#wire.list(this.models);
    if (request.method === 'GET') {
      const isList = path.split('?')[0] === list.path;
      return void response.writeHead(isList ? 200 : 404, { 'content-type': 'application/json' }).end(isList ? list.body : '{}');
    }
    if (!this.#wire.isChat(path)) return void response.writeHead(404).end('{}');

    const asked = this.#wire.read(JSON.parse(text) as Record<string, unknown>, path);
    this.asked.push(asked);
    if (!this.models.includes(asked.model)) return refuse('model', asked.model);
    if (text.length > CONTEXT_CHARACTERS) return refuse('overflow', asked.model);
    const act = this.#acts.shift() ?? { say: { text: 'ok' } };
    if ('refuse' in act) return refuse(act.refuse, asked.model, act.headers);
    await this.#stream(act, asked.model, response);
  }

  async #stream(act: Exclude<Act, { refuse: Refusal }>, model: string, response: ServerResponse): Promise<void> {
    response.on('close', () => {
      if (!response.writableFinished) this.#hungUp.resolve();
    });
    response.writeHead(200, { 'content-type': this.#wire.contentType });
    if ('failInStream' in act) {
      const pieces = this.#wire.answer({ text: 'so far' }, model);
      response.write(pieces[0] ?? '');
      return void response.end(this.#wire.failure);
    }
    const pieces = this.#wire.answer(act.say, model);
    for (const [index, piece] of pieces.entries()) {
      if ('pieces' in act && index === act.pieces) break;
      response.write('garbledPiece' in act && act.garbledPiece === index ? this.#wire.garbage : piece);
      // Each piece in a packet of its own, as they come from afar.
      await new Promise((resolve) => setTimeout(resolve, 'pauseMs' in act ? act.pauseMs : 0));
      if (response.destroyed) return;
    }
    if (!('pieces' in act) || act.goesBy === 'end') return void response.end();
    if (act.goesBy === 'reset') response.socket?.resetAndDestroy();
    else this.#silent.resolve();
  }
}
