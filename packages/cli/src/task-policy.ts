import { CodedError } from '@helixcode/protocol/errors';
import type { TaskPolicy, TaskSubmissionInput } from '@helixcode/protocol/task/task-spec';

/** What a command line may say of failures and of silent workers. Durations are milliseconds. */
export interface PolicyFlags {
  deadline?: number;
  maxAttempts?: number;
  backoff?: number;
  replaceLost?: number;
  lostAfter?: number;
  replace?: boolean;
  reconcile?: TaskPolicy['reconcile'];
  stopOnWorkerAfter?: number;
  critical?: boolean;
  grace?: number;
  checkpointEvery?: number;
}

/**
 * The policy that the flags ask for; what they do not speak of is left to the server.
 *
 * @throws CodedError `cli.bad_usage` for flags that would mean nothing together
 */
export function policyOf(flags: PolicyFlags): NonNullable<TaskSubmissionInput['policy']> {
  if (flags.grace !== undefined && !flags.critical) throw badUsage('--grace ends the pause of a critical task: it needs --critical');
  if (flags.critical && (flags.lostAfter !== undefined || flags.replace))
    throw badUsage('a critical task is not started elsewhere because of silence: give --grace in place of --lost-after and --replace');
  if (flags.replace === false && flags.lostAfter !== undefined)
    throw badUsage('--no-replace waits for the worker however long: it leaves no meaning to --lost-after');
  return {
    ...(flags.maxAttempts !== undefined && { maxAttempts: flags.maxAttempts }),
    ...(flags.backoff !== undefined && { backoffMs: flags.backoff }),
    ...(flags.replaceLost !== undefined && { replaceLost: flags.replaceLost }),
    ...(flags.lostAfter !== undefined && { lostAfterMs: flags.lostAfter }),
    ...(flags.replace !== undefined && { replace: flags.replace }),
    ...(flags.reconcile !== undefined && { reconcile: flags.reconcile }),
    ...(flags.stopOnWorkerAfter !== undefined && { stopOnWorkerAfterMs: flags.stopOnWorkerAfter }),
    ...(flags.critical && { critical: true }),
    ...(flags.grace !== undefined && { graceMs: flags.grace }),
    ...(flags.checkpointEvery !== undefined && { checkpoint: { everyMs: flags.checkpointEvery } }),
  };
}

function badUsage(message: string): CodedError {
  return new CodedError('cli.bad_usage', message, { next: 'helix help exec' });
}
