/**
 * Every error a caller can receive: its HTTP status, whether trying again unchanged can help, and the exit status of
 * `helix` when a command ends with it (the meaning of each status is in `exit-codes.ts`).
 */
export const ERROR_CODES = {
  'agent.answer_cut': { http: 422, retryable: false, exit: 5 },
  'agent.context_full': { http: 422, retryable: false, exit: 5 },
  'agent.empty_answers': { http: 422, retryable: false, exit: 5 },
  'agent.message_too_large': { http: 413, retryable: false, exit: 2 },
  'agent.no_plan': { http: 422, retryable: false, exit: 5 },
  'agent.not_verified': { http: 422, retryable: false, exit: 5 },
  'agent.refused': { http: 422, retryable: false, exit: 5 },
  'agent.repeats_itself': { http: 422, retryable: true, exit: 5 },
  'agent.stuck': { http: 422, retryable: false, exit: 5 },
  'agent.time_spent': { http: 422, retryable: false, exit: 5 },
  'agent.turns_spent': { http: 422, retryable: false, exit: 5 },
  'agent.waits': { http: 409, retryable: false, exit: 5 },
  'api.bad_request': { http: 400, retryable: false, exit: 2 },
  'api.cursor_too_old': { http: 410, retryable: false, exit: 1 },
  'api.host_refused': { http: 421, retryable: false, exit: 2 },
  'api.internal': { http: 500, retryable: true, exit: 1 },
  'api.media_type_unsupported': { http: 415, retryable: false, exit: 2 },
  'api.method_not_allowed': { http: 405, retryable: false, exit: 2 },
  'api.not_found': { http: 404, retryable: false, exit: 2 },
  'api.payload_too_large': { http: 413, retryable: false, exit: 2 },
  'approval.answered': { http: 409, retryable: false, exit: 2 },
  'approval.not_found': { http: 404, retryable: false, exit: 2 },
  'auth.token_missing': { http: 401, retryable: false, exit: 4 },
  'auth.token_refused': { http: 401, retryable: false, exit: 4 },
  'backup.damaged': { http: 422, retryable: false, exit: 1 },
  'backup.disk_full': { http: 507, retryable: true, exit: 1 },
  'backup.external_database': { http: 409, retryable: false, exit: 2 },
  'backup.unsuitable': { http: 422, retryable: false, exit: 1 },
  'budget.price_unknown': { http: 422, retryable: false, exit: 2 },
  'budget.spent': { http: 402, retryable: false, exit: 1 },
  'build.output_missing': { http: 422, retryable: false, exit: 5 },
  'cli.bad_usage': { http: 400, retryable: false, exit: 2 },
  'cli.declined': { http: 409, retryable: false, exit: 3 },
  'cli.not_a_repository': { http: 400, retryable: false, exit: 2 },
  'cli.wait_timed_out': { http: 408, retryable: true, exit: 6 },
  'checkpoint.failed': { http: 422, retryable: true, exit: 1 },
  'checkpoint.not_found': { http: 404, retryable: false, exit: 2 },
  'checkpoint.refused': { http: 422, retryable: false, exit: 2 },
  'checkpoint.unchanged': { http: 409, retryable: false, exit: 1 },
  'config.invalid': { http: 400, retryable: false, exit: 2 },
  'database.binaries_missing': { http: 500, retryable: false, exit: 1 },
  'database.folder_closed': { http: 500, retryable: false, exit: 1 },
  'database.migration_refused': { http: 500, retryable: false, exit: 1 },
  'database.start_failed': { http: 500, retryable: false, exit: 1 },
  'database.stop_failed': { http: 500, retryable: true, exit: 1 },
  'database.unavailable': { http: 503, retryable: true, exit: 1 },
  'gc.busy': { http: 409, retryable: true, exit: 1 },
  'job.command_failed': { http: 422, retryable: false, exit: 5 },
  'job.lost': { http: 409, retryable: true, exit: 5 },
  'job.recalled': { http: 409, retryable: true, exit: 5 },
  'job.replaced': { http: 409, retryable: false, exit: 5 },
  'job.spec_differs': { http: 409, retryable: false, exit: 1 },
  'job.start_failed': { http: 422, retryable: true, exit: 5 },
  'job.timed_out': { http: 422, retryable: false, exit: 5 },
  'merge.closed': { http: 409, retryable: false, exit: 2 },
  'merge.failed': { http: 500, retryable: true, exit: 1 },
  'merge.move_refused': { http: 409, retryable: false, exit: 1 },
  'merge.not_found': { http: 404, retryable: false, exit: 2 },
  'merge.tries_spent': { http: 422, retryable: false, exit: 5 },
  'merge.unrelated': { http: 422, retryable: false, exit: 2 },
  'merge.withdrawn': { http: 409, retryable: false, exit: 3 },
  'model.auth_refused': { http: 422, retryable: false, exit: 2 },
  'model.bad_response': { http: 502, retryable: true, exit: 1 },
  'model.cancelled': { http: 409, retryable: false, exit: 3 },
  'model.circuit_open': { http: 503, retryable: true, exit: 1 },
  'model.config_invalid': { http: 422, retryable: false, exit: 2 },
  'model.context_overflow': { http: 422, retryable: false, exit: 5 },
  'model.not_configured': { http: 422, retryable: false, exit: 2 },
  'model.overloaded': { http: 503, retryable: true, exit: 1 },
  'model.pull_failed': { http: 502, retryable: true, exit: 1 },
  'model.quota_spent': { http: 402, retryable: false, exit: 1 },
  'model.rate_limited': { http: 429, retryable: true, exit: 1 },
  'model.replay_differs': { http: 409, retryable: false, exit: 1 },
  'model.request_refused': { http: 422, retryable: false, exit: 1 },
  'model.stream_cut': { http: 502, retryable: true, exit: 1 },
  'model.unknown': { http: 404, retryable: false, exit: 2 },
  'model.unreachable': { http: 503, retryable: true, exit: 1 },
  'model.vendor_failed': { http: 502, retryable: true, exit: 1 },
  'output.removed': { http: 410, retryable: false, exit: 1 },
  'output.too_large': { http: 413, retryable: false, exit: 5 },
  'project.exists': { http: 409, retryable: false, exit: 2 },
  'project.not_found': { http: 404, retryable: false, exit: 2 },
  'project.source_unreadable': { http: 422, retryable: true, exit: 2 },
  'restore.folder_in_use': { http: 409, retryable: false, exit: 2 },
  'receipt.forged': { http: 422, retryable: false, exit: 1 },
  'receipt.not_found': { http: 404, retryable: false, exit: 2 },
  'sandbox.unavailable': { http: 422, retryable: false, exit: 5 },
  'server.already_running': { http: 409, retryable: false, exit: 1 },
  'server.certificate_refused': { http: 502, retryable: false, exit: 7 },
  'server.draining': { http: 503, retryable: true, exit: 7 },
  'server.lease_lost': { http: 503, retryable: true, exit: 7 },
  'server.listen_failed': { http: 500, retryable: false, exit: 1 },
  'server.not_helix': { http: 502, retryable: false, exit: 7 },
  'server.port_in_use': { http: 409, retryable: false, exit: 1 },
  'server.secret_differs': { http: 409, retryable: false, exit: 1 },
  'server.start_failed': { http: 500, retryable: true, exit: 1 },
  'server.stop_failed': { http: 500, retryable: true, exit: 1 },
  'server.storage_differs': { http: 409, retryable: false, exit: 1 },
  'server.unreachable': { http: 503, retryable: true, exit: 7 },
  'session.entry_not_found': { http: 404, retryable: false, exit: 2 },
  'session.no_changes': { http: 404, retryable: false, exit: 2 },
  'session.not_found': { http: 404, retryable: false, exit: 2 },
  'snapshot.failed': { http: 422, retryable: true, exit: 1 },
  'snapshot.refused': { http: 422, retryable: false, exit: 2 },
  'task.cancelled': { http: 409, retryable: false, exit: 3 },
  'task.deadline_passed': { http: 422, retryable: false, exit: 5 },
  'task.move_refused': { http: 409, retryable: false, exit: 1 },
  'task.not_found': { http: 404, retryable: false, exit: 2 },
  'task.rolled_back': { http: 409, retryable: false, exit: 1 },
  'task.subtask_failed': { http: 422, retryable: false, exit: 5 },
  'test.none_found': { http: 422, retryable: false, exit: 5 },
  'test.runner_failed': { http: 422, retryable: false, exit: 5 },
  'test.runner_unknown': { http: 422, retryable: false, exit: 2 },
  'test.unit_timed_out': { http: 422, retryable: false, exit: 5 },
  'tests.failed': { http: 422, retryable: false, exit: 5 },
  'worker.auth_refused': { http: 422, retryable: false, exit: 1 },
  'worker.bootstrap_failed': { http: 422, retryable: false, exit: 1 },
  'worker.busy': { http: 409, retryable: true, exit: 1 },
  'worker.disk_full': { http: 507, retryable: true, exit: 1 },
  'worker.enrolment_refused': { http: 401, retryable: false, exit: 4 },
  'worker.exists': { http: 409, retryable: false, exit: 2 },
  'worker.host_key_changed': { http: 409, retryable: false, exit: 1 },
  'worker.host_key_revoked': { http: 409, retryable: false, exit: 1 },
  'worker.host_key_unknown': { http: 409, retryable: false, exit: 1 },
  'worker.link_lost': { http: 503, retryable: true, exit: 1 },
  'worker.no_shell': { http: 422, retryable: false, exit: 1 },
  'worker.not_found': { http: 404, retryable: false, exit: 2 },
  'worker.platform_unsupported': { http: 422, retryable: false, exit: 1 },
  'worker.protocol_violation': { http: 502, retryable: true, exit: 1 },
  'worker.removed': { http: 410, retryable: false, exit: 4 },
  'worker.stale_epoch': { http: 409, retryable: false, exit: 1 },
  'worker.token_refused': { http: 401, retryable: false, exit: 4 },
  'worker.unreachable': { http: 503, retryable: true, exit: 1 },
  'workspace.command_lost': { http: 409, retryable: false, exit: 5 },
  'workspace.failed': { http: 422, retryable: true, exit: 5 },
  'workspace.file_changed': { http: 409, retryable: false, exit: 1 },
  'workspace.file_missing': { http: 404, retryable: false, exit: 1 },
  'workspace.file_too_large': { http: 413, retryable: false, exit: 1 },
  'workspace.gone': { http: 410, retryable: false, exit: 5 },
  'workspace.not_a_file': { http: 422, retryable: false, exit: 1 },
  'workspace.path_refused': { http: 422, retryable: false, exit: 1 },
  'workspace.pattern_refused': { http: 422, retryable: false, exit: 1 },
  'workspace.setup_failed': { http: 422, retryable: false, exit: 5 },
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

/** What a caller is told: which error, the fact in a sentence, and the command that mends it. */
export interface ErrorFact {
  code: ErrorCode;
  message: string;
  next?: string;
  details?: Record<string, unknown>;
}

/** A refusal the caller can act on. A bug is a plain `Error` and never becomes one of these. */
export class CodedError extends Error {
  override readonly name = 'CodedError';
  readonly code: ErrorCode;
  /** The one command (or act) that mends it, as a person would type it. */
  readonly next: string | undefined;
  /** Facts for programs: ids, names, measured numbers. */
  readonly details: Record<string, unknown> | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    options: { next?: string | undefined; cause?: unknown; details?: Record<string, unknown> | undefined } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.next = options.next;
    this.details = options.details;
  }

  /** The part that may be stored or sent: no stack, no cause. */
  toFact(): ErrorFact {
    return {
      code: this.code,
      message: this.message,
      ...(this.next !== undefined && { next: this.next }),
      ...(this.details !== undefined && { details: this.details }),
    };
  }

  static fromFact(fact: ErrorFact): CodedError {
    return new CodedError(fact.code, fact.message, { next: fact.next, details: fact.details });
  }
}

export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERROR_CODES, text);
}
