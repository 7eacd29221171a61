export type UserId = string & { readonly is: 'UserId' };
export type ProjectId = string & { readonly is: 'ProjectId' };
export type TaskId = string & { readonly is: 'TaskId' };
export type AttemptId = string & { readonly is: 'AttemptId' };
export type WorkerId = string & { readonly is: 'WorkerId' };
export type ServerId = string & { readonly is: 'ServerId' };

/** What an id begins with: a reader of a log line sees at once what it names. */
const PREFIXES = { user: 'usr', project: 'prj', task: 'tsk', attempt: 'att', worker: 'wrk', server: 'srv' } as const;

interface IdByNoun {
  user: UserId;
  project: ProjectId;
  task: TaskId;
  attempt: AttemptId;
  worker: WorkerId;
  server: ServerId;
}

// Crockford's base 32: no i, l, o, u, so that an id read aloud or typed by hand is not mistaken.
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';

/**
 * Makes an id such as `tsk_01jd3v8k2m6q9x4t7r`: 9 characters of milliseconds since the epoch, so that ids sort by
 * age, and 9 random ones (45 bits: a clash within one millisecond is practically impossible, and a primary key
 * refuses it anyway).
 */
export function newId<Noun extends keyof IdByNoun>(noun: Noun, nowMs = Date.now()): IdByNoun[Noun] {
  let time = '';
  for (let rest = nowMs, place = 0; place < 9; place++, rest = Math.floor(rest / 32)) time = ALPHABET[rest % 32] + time;
  let random = '';
  for (const byte of crypto.getRandomValues(new Uint8Array(9))) random += ALPHABET[byte % 32];
  return `${PREFIXES[noun]}_${time}${random}` as IdByNoun[Noun];
}

/** Whether `text` has the form of an id of that noun; says nothing about existence. */
export function isId<Noun extends keyof IdByNoun>(noun: Noun, text: string): text is IdByNoun[Noun] {
  return new RegExp(`^${PREFIXES[noun]}_[${ALPHABET}]{18}$`).test(text);
}
