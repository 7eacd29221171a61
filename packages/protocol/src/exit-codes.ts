/** What each exit status of `helix` means; `helix help exit-codes` prints this table. */
export const EXIT_CODES = {
  ok: { status: 0, meaning: 'done; an empty list is also a success' },
  failed: { status: 1, meaning: 'the command could not do what it was asked to' },
  usage: { status: 2, meaning: 'the command line, the configuration or a named thing is wrong' },
  cancelled: { status: 3, meaning: 'cancelled or declined by a person' },
  signInNeeded: { status: 4, meaning: 'no token, or the server refused it' },
  taskFailed: { status: 5, meaning: 'the task ran and failed (a failing test, a non-zero exit)' },
  waitTimedOut: { status: 6, meaning: 'the wait ended before the task did; the task goes on' },
  serverUnreachable: { status: 7, meaning: 'no server answered' },
  personNeeded: { status: 8, meaning: 'an agent waits for a person; `helix approvals list` says for what' },
  interrupted: { status: 130, meaning: 'interrupted with Ctrl-C; the task goes on unless it was cancelled' },
} as const;
