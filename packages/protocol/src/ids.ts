export type UserId = string & { readonly is: 'UserId' };
export type ProjectId = string & { readonly is: 'ProjectId' };
export type TaskId = string & { readonly is: 'TaskId' };
export type AttemptId = string & { readonly is: 'AttemptId' };
export type WorkerId = string & { readonly is: 'WorkerId' };
export type ServerId = string & { readonly is: 'ServerId' };
export type RequestId = string & { readonly is: 'RequestId' };
export type ReceiptId = string & { readonly is: 'ReceiptId' };
export type SessionId = string & { readonly is: 'SessionId' };
export type ApprovalId = string & { readonly is: 'ApprovalId' };
export type MergeQueueId = string & { readonly is: 'MergeQueueId' };
export type MergeEntryId = string & { readonly is: 'MergeEntryId' };

/** What an id begins with: a reader of a log line sees at once what it names. */
const PREFIXES = {
  user: 'usr',
  project: 'prj',
  task: 'tsk',
  attempt: 'att',
  worker: 'wrk',
  server: 'srv',
  request: 'req',
  receipt: 'rcp',
  session: 'ses',
  approval: 'apr',
  mergeQueue: 'mgq',
  mergeEntry: 'mge',
} as const;

interface IdByNoun {
  user: UserId;
  project: ProjectId;
  task: TaskId;
  attempt: AttemptId;
  worker: WorkerId;
  server: ServerId;
  request: RequestId;
  receipt: ReceiptId;
  session: SessionId;
  approval: ApprovalId;
  mergeQueue: MergeQueueId;
  mergeEntry: MergeEntryId;
}

// Crockford's base 32: no i, l, o, u, so that an id read aloud or typed by hand is not mistaken.
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';

const RANDOM_DIGITS = 9;
let newest = { ms: -1, digits: [] as number[] };

/**
 * Makes an id such as `tsk_01jd3v8k2m6q9x4t7r`: 9 characters of milliseconds since the epoch and 9 random ones (45
 * bits: a clash within one millisecond is practically impossible, and a primary key refuses it anyway). Ids made by one
 * process sort in the order of their making: within a millisecond each is the one before it, counted up.
 */
export function newId<Noun extends keyof IdByNoun>(noun: Noun, nowMs = Date.now()): IdByNoun[Noun] {
  newest = { ms: nowMs, digits: nowMs === newest.ms ? countUp(newest.digits) : randomDigits() };
  let time = '';
  for (let rest = nowMs, place = 0; place < 9; place++, rest = Math.floor(rest / 32)) time = ALPHABET[rest % 32] + time;
  return `${PREFIXES[noun]}_${time}${newest.digits.map((digit) => ALPHABET[digit]).join('')}` as IdByNoun[Noun];
}

function randomDigits(): number[] {
  const digits = [...crypto.getRandomValues(new Uint8Array(RANDOM_DIGITS))].map((byte) => byte % 32);
  // Room to count up: the first digit is never the last of the alphabet.
  return digits.with(0, (digits[0] ?? 0) % 16);
}

function countUp(digits: readonly number[]): number[] {
  const place = digits.findLastIndex((digit) => digit < 31);
  return digits.map((digit, index) => (index < place ? digit : index === place ? digit + 1 : 0));
}

/** Whether `text` has the form of an id of that noun; says nothing about existence. */
export function isId<Noun extends keyof IdByNoun>(noun: Noun, text: string): text is IdByNoun[Noun] {
  return new RegExp(`^${PREFIXES[noun]}_[${ALPHABET}]{18}$`).test(text);
}
