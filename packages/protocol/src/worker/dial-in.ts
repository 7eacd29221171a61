/**
 * How a worker dials in: it opens a WebSocket at `WORKER_LINK_PATH` with its own token as the bearer, and the bytes of
 * its binary messages, one after the other, are the same frames that other workers speak over ssh.
 */

/** A worker's own token. It makes this itself, and the server learns it with the first connection, so that no secret is lost on the way. */
export const WORKER_TOKEN_PREFIX = 'hlxw_';
/** What a person hands to a machine, so that it may join once. */
export const ENROLMENT_TOKEN_PREFIX = 'hlxe_';
/** The rest of either: 32 random bytes in base64url. */
const TOKEN_BODY = /^[A-Za-z0-9_-]{43}$/;

export function isWorkerToken(text: string): boolean {
  return text.startsWith(WORKER_TOKEN_PREFIX) && TOKEN_BODY.test(text.slice(WORKER_TOKEN_PREFIX.length));
}

export function isEnrolmentToken(text: string): boolean {
  return text.startsWith(ENROLMENT_TOKEN_PREFIX) && TOKEN_BODY.test(text.slice(ENROLMENT_TOKEN_PREFIX.length));
}

/** What the worker says when it opens the link, beside its token. */
export const ENROLMENT_HEADER = 'helix-enrolment';
/** Labels its operator vouches for on the machine itself, separated by commas: they replace those the server had. */
export const LABELS_HEADER = 'helix-worker-labels';
/** Hash of the agent it runs. */
export const RUNNING_AGENT_HEADER = 'helix-running-agent';

/** What the server says when it opens the link. */
export const WORKER_ID_HEADER = 'helix-worker-id';
export const WORKER_NAME_HEADER = 'helix-worker-name';
export const HEARTBEAT_HEADER = 'helix-heartbeat-ms';
/** Hash of the agent the worker should run, and the SHA-256 of the file that holds this server's. */
export const AGENT_HEADER = 'helix-agent';
export const AGENT_SHA256_HEADER = 'helix-agent-sha256';

/** The largest message a worker sends; the server's may have any length. */
export const LINK_MESSAGE_BYTES = 64 * 1024;

/** WebSocket status with which the server says that the worker was removed: it deletes what it has and ends. */
export const CLOSED_AS_REMOVED = 4410;

/** A label as it may stand in a list of them. */
export const LABEL = /^[A-Za-z0-9][A-Za-z0-9._+:/-]{0,62}$/;
