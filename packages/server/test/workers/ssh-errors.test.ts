import { sshError } from '@helixcode/server/workers/transports/ssh-errors';
import { expect, test } from 'vitest';

const failure = { workerName: 'box', target: 'ci@box:22', exitCode: 255, signal: null };

test.each([
  [
    'No ED25519 host key is known for [h]:2222 and you have requested strict checking.\nHost key verification failed.',
    'worker.host_key_unknown',
  ],
  ['@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.', 'worker.host_key_changed'],
  ['@ WARNING: REVOKED HOST KEY DETECTED! @\nHost key verification failed.', 'worker.host_key_revoked'],
  ['ci@box: Permission denied (publickey,password).', 'worker.auth_refused'],
  ['Received disconnect from 10.0.0.1 port 22:2: Too many authentication failures', 'worker.auth_refused'],
  [
    '@ WARNING: UNPROTECTED PRIVATE KEY FILE! @\nPermissions 0644 for \'/srv/x/id\' are too open.\nLoad key "/srv/x/id": bad permissions\nci@box: Permission denied (publickey).',
    'worker.auth_refused',
  ],
  ['ssh: connect to host box port 22: Connection refused', 'worker.unreachable'],
  ['ssh: connect to host box port 22: No route to host', 'worker.unreachable'],
  ['ssh: Could not resolve hostname box: Name or service not known', 'worker.unreachable'],
  ['Timeout, server box not responding.', 'worker.unreachable'],
  ['Connection timed out during banner exchange\nConnection to 127.0.0.1 port 2222 timed out', 'worker.unreachable'],
  ['Unable to negotiate with 10.0.0.1 port 22: no matching host key type found. Their offer: ssh-rsa', 'worker.unreachable'],
  [
    '/srv/y/.ssh/config: line 3: Bad configuration option: colour\n/srv/y/.ssh/config: terminating, 1 bad configuration options',
    'config.invalid',
  ],
])('ssh saying %j means what it says', (stderr, code) => {
  const error = sshError({ ...failure, stderr });

  expect(error).toMatchObject({ code, next: expect.any(String), details: { ssh: stderr } });
});

test.each([
  'kex_exchange_identification: read: Connection reset by peer\nConnection reset by 127.0.0.1 port 2222',
  'kex_exchange_identification: Connection closed by remote host',
])('an sshd that takes no more sign-ins at once is not one that is down', (stderr) => {
  expect(sshError({ ...failure, stderr })?.details).toMatchObject({ isOverloaded: true });
});

test('the cause is told from what follows from it', () => {
  const stderr = 'Load key "/srv/x/id": error in libcrypto\nci@box: Permission denied (publickey).';
  expect(sshError({ ...failure, stderr })?.message).toBe(
    'ci@box refused the login (it takes publickey); the key /srv/x/id could not be used: error in libcrypto',
  );
});

test('a command that ended by itself is no fault of ssh, whatever it printed', () => {
  expect(sshError({ ...failure, exitCode: 1, stderr: 'curl: connect to host x port 80: Connection refused' })).toBeUndefined();
});

test('a Windows machine and an account without a shell are told by what their login says', () => {
  const windows = "'exec' is not recognized as an internal or external command,\noperable program or batch file.";
  expect(sshError({ ...failure, exitCode: 1, stderr: windows })?.code).toBe('worker.platform_unsupported');
  expect(sshError({ ...failure, exitCode: 1, stderr: 'This account is currently not available.' })?.code).toBe('worker.no_shell');
});
