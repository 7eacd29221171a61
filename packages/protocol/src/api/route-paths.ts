/**
 * Where each operation is found, below `/api/v1`; `:name` is a path parameter. Apart from the schemas in `routes.ts`, so
 * that a client can call the API without loading them.
 */
export const ROUTE_PATHS = {
  'server.get': { method: 'GET', path: '/server' },
  'server.config': { method: 'GET', path: '/server/config' },
  'servers.list': { method: 'GET', path: '/servers' },
  'server.backup': { method: 'POST', path: '/backup' },
  'server.gc': { method: 'POST', path: '/gc' },
  'workers.list': { method: 'GET', path: '/workers' },
  'workers.add': { method: 'POST', path: '/workers' },
  'workers.enrol': { method: 'POST', path: '/workers/enrolments' },
  'workers.get': { method: 'GET', path: '/workers/:worker' },
  'workers.events': { method: 'GET', path: '/workers/:worker/connectivity' },
  'workers.accept-key': { method: 'POST', path: '/workers/:worker/host-key' },
  'workers.revoke-key': { method: 'DELETE', path: '/workers/:worker/host-key/:fingerprint' },
  'workers.admission': { method: 'POST', path: '/workers/:worker/admission' },
  'workers.reconnect': { method: 'POST', path: '/workers/:worker/reconnect' },
  'workers.remove': { method: 'DELETE', path: '/workers/:worker' },
  'projects.list': { method: 'GET', path: '/projects' },
  'projects.add': { method: 'POST', path: '/projects' },
  'projects.get': { method: 'GET', path: '/projects/:project' },
  'projects.fetch': { method: 'POST', path: '/projects/:project/fetch' },
  'projects.tips': { method: 'GET', path: '/projects/:project/tips' },
  'projects.snapshot': { method: 'POST', path: '/projects/:project/snapshots' },
  'tasks.submit': { method: 'POST', path: '/tasks' },
  'tasks.list': { method: 'GET', path: '/tasks' },
  'tasks.get': { method: 'GET', path: '/tasks/:task' },
  'tasks.output': { method: 'GET', path: '/tasks/:task/output' },
  'tasks.cancel': { method: 'POST', path: '/tasks/:task/cancel' },
  'tasks.retry': { method: 'POST', path: '/tasks/:task/retry' },
  'tasks.resume': { method: 'POST', path: '/tasks/:task/resume' },
  'tasks.checkpoint': { method: 'POST', path: '/tasks/:task/checkpoints' },
  'tasks.checkpoints': { method: 'GET', path: '/tasks/:task/checkpoints' },
  'tasks.rollback': { method: 'POST', path: '/tasks/:task/rollback' },
  'tasks.merges': { method: 'GET', path: '/tasks/:task/merges' },
  'tasks.junit': { method: 'GET', path: '/tasks/:task/junit' },
  'tasks.coverage': { method: 'GET', path: '/tasks/:task/coverage' },
  'tasks.artifact': { method: 'GET', path: '/tasks/:task/artifact' },
  'models.list': { method: 'GET', path: '/models' },
  'models.test': { method: 'POST', path: '/models/test' },
  'models.suite': { method: 'POST', path: '/models/suite' },
  'models.fit': { method: 'GET', path: '/models/fit' },
  'models.pull': { method: 'POST', path: '/models/pull' },
  'models.record': { method: 'POST', path: '/models/record' },
  'usage.get': { method: 'GET', path: '/usage' },
  'receipts.list': { method: 'GET', path: '/receipts' },
  'receipts.key': { method: 'GET', path: '/receipts/key' },
  'receipts.get': { method: 'GET', path: '/receipts/:receipt' },
  'sessions.start': { method: 'POST', path: '/sessions' },
  'sessions.list': { method: 'GET', path: '/sessions' },
  'sessions.get': { method: 'GET', path: '/sessions/:session' },
  'sessions.entries': { method: 'GET', path: '/sessions/:session/entries' },
  'sessions.say': { method: 'POST', path: '/sessions/:session/messages' },
  'sessions.fork': { method: 'POST', path: '/sessions/:session/fork' },
  'sessions.rewind': { method: 'POST', path: '/sessions/:session/rewind' },
  'sessions.cancel': { method: 'POST', path: '/sessions/:session/cancel' },
  'sessions.transcript': { method: 'GET', path: '/sessions/:session/transcript' },
  'sessions.changes': { method: 'GET', path: '/sessions/:session/changes' },
  'approvals.list': { method: 'GET', path: '/approvals' },
  'approvals.answer': { method: 'POST', path: '/approvals/:approval' },
  'events.list': { method: 'GET', path: '/events' },
  'events.stream': { method: 'GET', path: '/events/stream' },
} as const;

export const API_ROOT = '/api/v1';
/** The WebSocket that carries live events. */
export const LIVE_PATH = `${API_ROOT}/live`;
/**
 * Sub-protocols offered when that WebSocket is opened. A browser cannot set headers there, so the token is one of them:
 * `helix.v1, bearer.<token>`; the server chooses the first.
 */
export const LIVE_PROTOCOL = 'helix.v1';
export const BEARER_PROTOCOL = 'bearer.';
/** The WebSocket through which a worker that dials in speaks its frames. */
export const WORKER_LINK_PATH = `${API_ROOT}/worker-link`;
/** The agent that workers of this server run, for those that dial in with another. */
export const WORKER_AGENT_PATH = `${WORKER_LINK_PATH}/agent`;
