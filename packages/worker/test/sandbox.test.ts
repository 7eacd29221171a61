import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { capabilityLabels, machineFacts } from '@helixcode/protocol/worker/capabilities';
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { findSandbox } from '../src/capabilities/sandbox.ts';
import { baseEnvironment, findProgram } from '../src/home/program-path.ts';
import { JobFolder } from '../src/jobs/job-folder.ts';
import { signalJob } from '../src/jobs/process-table.ts';
import { PrivateGit } from '../src/sandbox/private-git.ts';
import { type SandboxOrder, sandboxCommand } from '../src/sandbox/sandbox-command.ts';
import { givenRepository } from './support/given-repository.ts';
import { attempts, givenWorker } from './support/given-worker.ts';

const NOBODY = 65_534;
const isRoot = process.getuid?.() === 0;
const path = baseEnvironment()['PATH'] ?? '';
const hasSandbox = (await findSandbox(path)) === 'full';

afterEach(() => {
  vi.restoreAllMocks();
});

interface Ended {
  status: number | null;
  out: string;
}

interface GivenPlace {
  home: string;
  tree: string;
  folder: JobFolder;
  common: string;
  git(...args: string[]): string;
  start(
    command: string,
    options?: Partial<SandboxOrder>,
  ): { child: ChildProcess; ended: Promise<Ended>; says(word: string): Promise<void> };
  run(command: string, options?: Partial<SandboxOrder>): Promise<Ended>;
}

/** A worker's home with a repository, a checkout of it and another one, as jobs find them. @param uid the worker's account */
function givenPlace(uid = process.getuid?.() ?? 0): GivenPlace {
  vi.spyOn(process, 'getuid').mockReturnValue(uid);
  const home = mkdtempSync(join(tmpdir(), 'helix-sandbox-'));
  const [attempt] = attempts();
  const environment = {
    ...baseEnvironment(),
    HELIX_JOB: attempt,
    ...(uid === NOBODY && { HOME: '/nonexistent', PATH: '/usr/local/bin:/usr/bin:/bin' }),
  };
  const as = isRoot ? { uid, gid: uid } : {};
  const git = (...args: string[]): string =>
    execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.com', ...args], {
      encoding: 'utf8',
      cwd: home,
      env: { PATH: path, HOME: home },
      ...as,
    }).trim();
  const [common, tree, source] = [join(home, 'repos', 'p.git'), join(home, 'trees', 'p', '1'), join(home, 'source')];
  for (const place of ['repos', 'trees/p', 'source', 'jobs']) mkdirSync(join(home, place), { recursive: true });
  const folder = new JobFolder(join(home, 'jobs'), attempt);
  mkdirSync(join('/tmp', `helix-${uid}`), { recursive: true, mode: 0o700 });
  chownSync(join('/tmp', `helix-${uid}`), uid, uid);
  folder.create({ spec: { command: 'true', env: {}, killGraceMs: 0, outputLimitBytes: 0 }, secretNames: [] });
  writeFileSync(join(home, 'daemon-secret'), 'of the daemon');
  for (const place of [home, ...readdirSync(home, { recursive: true, encoding: 'utf8' }).map((name) => join(home, name)), folder.tmpFolder])
    chownSync(place, uid, uid);
  onTestFinished(() => {
    for (const place of [home, folder.tmpFolder]) rmSync(place, { recursive: true, force: true });
  });
  git('init', '--quiet', 'source');
  git('-C', source, 'commit', '--quiet', '--allow-empty', '-m', 'zero');
  execFileSync('/bin/sh', ['-c', 'echo one >a.txt; echo two >b.txt; mkdir sub; echo x >sub/x'], { cwd: source, ...as });
  git('-C', source, 'add', '.');
  git('-C', source, 'commit', '--quiet', '-m', 'first');
  const commit = git('-C', source, 'rev-parse', 'HEAD');
  git('init', '--quiet', '--bare', common);
  git('-C', common, 'fetch', '--quiet', '--depth=1', `file://${source}`, `+${commit}:refs/helix/commits/${commit}`);
  for (const name of ['1', '2']) git('-C', common, 'worktree', 'add', '--quiet', '--detach', join(home, 'trees', 'p', name), commit);
  const start: GivenPlace['start'] = (command, options = {}) => {
    const wrapped = sandboxCommand({
      command,
      root: tree,
      startFolder: tree,
      folder,
      network: 'off',
      environment,
      workerHome: home,
      ...options,
    });
    // The daemon makes these with the account it has.
    for (const place of [
      folder.sandboxFolder,
      ...readdirSync(folder.sandboxFolder, { recursive: true, encoding: 'utf8' }).map((name) => join(folder.sandboxFolder, name)),
    ])
      if (isRoot && uid !== 0) chownSync(place, uid, uid);
    const child = spawn('/bin/sh', ['-c', wrapped], {
      env: options.environment ?? environment,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd: '/',
      ...as,
    });
    let out = '';
    const listeners = new Set<() => void>();
    const take = (chunk: Buffer): void => {
      out += chunk.toString('utf8');
      for (const listener of listeners) listener();
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    const ended = new Promise<Ended>((resolve) => child.on('close', (status) => resolve({ status, out })));
    onTestFinished(async () => {
      if (child.exitCode === null && child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      await ended;
    });
    const says = (word: string): Promise<void> =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (out.includes(word)) resolve();
        };
        listeners.add(look);
        look();
        void ended.then(() => reject(new Error(`it ended without ${word}: ${out}`)));
      });
    return { child, ended, says };
  };
  return { home, tree, folder, common, git, start, run: (command, options) => start(command, options).ended };
}

const accounts: [string, number][] = isRoot
  ? [
      ['root', 0],
      ['an ordinary account', NOBODY],
    ]
  : [['this account', process.getuid?.() ?? 0]];

describe.skipIf(!hasSandbox).each(accounts)('in a sandbox made by %s', (_name, uid) => {
  test('`rm -rf /` leaves the machine and the files of the daemon alone [S3]', async () => {
    const place = givenPlace(uid);
    const before = place.git('-C', place.common, 'fsck', '--full', '--strict');
    await place.run('git status >/dev/null; rm -rf / --no-preserve-root 2>/dev/null; echo over');
    expect(existsSync('/usr/bin/env') && existsSync('/etc/passwd')).toBe(true);
    expect(readFileSync(join(place.home, 'daemon-secret'), 'utf8')).toBe('of the daemon');
    expect(readdirSync(join(place.home, 'trees', 'p', '2')).sort()).toEqual(['.git', 'a.txt', 'b.txt', 'sub']);
    expect(existsSync(join(place.folder.path, 'spec.json'))).toBe(true);
    expect(place.git('-C', place.common, 'fsck', '--full', '--strict')).toBe(before);
    expect(place.git('-C', place.tree, 'status', '--porcelain')).toContain('D a.txt');
  });

  test('what belongs to others cannot be read: password hashes, keys, the home of the worker, other checkouts, processes [S3]', async () => {
    const place = givenPlace(uid);
    const secrets = [
      '/etc/shadow',
      '/etc/ssh/ssh_host_ed25519_key',
      join(homedir(), '.ssh'),
      join(place.home, 'daemon-secret'),
      join(place.home, 'trees', 'p', '2', 'a.txt'),
      join(place.folder.path, 'spec.json'),
      join(homedir(), '.bashrc'),
      '/var/lib',
    ];
    const { out } = await place.run(
      `for f in ${secrets.join(' ')}; do { if [ -d "$f" ]; then ls "$f"; else cat "$f"; fi; } && echo "READ $f"; done >seen 2>/dev/null; grep READ seen; grep -c READ seen; ls /proc | grep -c '^[0-9]'; cat /proc/*/environ | tr '\\0' '\\n' | grep -c TOKEN_OF_DAEMON; echo over`,
    );
    const lines = out.trim().split('\n');
    expect(lines.at(-1)).toBe('over');
    expect(readFileSync(join(place.tree, 'seen'), 'utf8')).not.toContain('of the daemon');
    expect(
      lines.filter((line) => line === '0'),
      out,
    ).toHaveLength(2);
    expect(Number(lines[1])).toBeLessThan(10);
  });

  test('the system cannot be written to; the workspace, the home and /tmp can, and both last for the next command [S3]', async () => {
    const place = givenPlace(uid);
    const { out } = await place.run(
      'for f in /usr/x /etc/x /x "$HOME/../x" /proc/sys/kernel/hostname /proc/sys/kernel/core_pattern /proc/sysrq-trigger; do echo no >"$f" && echo "WROTE $f"; done 2>/dev/null; echo mine >mine && echo h >~/h && echo t >/tmp/t && echo "$TMPDIR"',
    );
    expect(out).toBe('/tmp\n');
    expect((await place.run('cat mine ~/h /tmp/t; pwd')).out).toBe(`mine\nh\nt\n${place.tree}\n`);
    expect(existsSync(join(homedir(), 'h'))).toBe(false);
  });

  test('git works: status, diff, log, commit, branches, stash, configuration; nothing of it reaches the shared repository [S3]', async () => {
    const place = givenPlace(uid);
    const head = place.git('-C', place.tree, 'rev-parse', 'HEAD');
    const objects = (): string => place.git('-C', place.common, 'count-objects', '-v');
    const before = objects();
    const work = `set -e
      git status --porcelain; echo more >>a.txt; git diff --stat | tail -1; git log --oneline | wc -l
      git stash -q; git stash pop -q; git checkout -q -b fix; git add a.txt; git commit -q -m 'from inside'; git branch -q other; git branch -q -D other; git tag v1
      git config core.fsmonitor /tmp/evil; git config --unset core.fsmonitor; echo dirty >>b.txt; git add b.txt
      git init -q /tmp/elsewhere; cd /tmp/elsewhere; echo z >z; git add z; git -c user.name=a -c user.email=a@b commit -q -m z; git count-objects | cut -d' ' -f1; cd - >/dev/null
      git status --short; git gc -q; git fsck 2>&1 | grep -v dangling || true; git log --format=%s`;
    const { out, status } = await place.run(work);
    expect(out).toBe(' 1 file changed, 1 insertion(+)\n1\n3\nM  b.txt\nfrom inside\nfirst\n');
    expect(status).toBe(0);
    expect(objects()).toBe(before);
    expect(place.git('-C', place.tree, 'rev-parse', 'HEAD')).toBe(head);
    expect(place.git('-C', place.common, 'for-each-ref', 'refs/heads', 'refs/tags', 'refs/stash')).toBe('');
    expect(PrivateGit.find(place.folder.sandboxFolder)?.head()).toMatch(/^[0-9a-f]{40}$/);
    expect(PrivateGit.find(place.folder.sandboxFolder)?.head()).not.toBe(head);
  });

  test('the way from a checkout to its git data, and from there to the shared objects, cannot be bent [S3]', async () => {
    const place = givenPlace(uid);
    const { out } = await place.run(
      `git=$(git rev-parse --absolute-git-dir)
      rm -f .git || echo kept; mv .git x || echo kept; mv "$git/objects/info" "$git/objects/i2" || echo kept; echo /etc >"$git/objects/info/alternates" || echo kept
      mv "$git/objects" "$git/o2" || echo kept; rm -f "$git/objects/info/alternates" || echo kept; mv "$git" "$git.2" || echo kept; cd /; rm -rf "$(head -1 "$git/objects/info/alternates")"/* || echo kept`,
    );
    expect(out.match(/^kept$/gm)).toHaveLength(8);
    expect(readFileSync(join(place.tree, '.git'), 'utf8')).toContain(join(place.common, 'worktrees'));
  });

  test('without network not even a server of the same machine is reached; with it, it is [S3]', async () => {
    const place = givenPlace(uid);
    let connections = 0;
    const server = createServer((socket) => {
      connections++;
      socket.end('hello\n');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    const { port } = server.address() as { port: number };
    const command = `python3 -c 'import socket; print(socket.create_connection(("127.0.0.1", ${port}), 5).recv(9).decode().strip())' 2>&1 | tail -1`;
    expect((await place.run(command, { network: 'off' })).out).toMatch(/Connection refused|unreachable/);
    expect(connections).toBe(0);
    expect((await place.run(command, { network: 'on' })).out).toBe('hello\n');
    expect(connections).toBe(1);
  });

  test('exit codes and signals of the command come through, and so does its environment', async () => {
    const place = givenPlace(uid);
    expect(await place.run('exit 7')).toEqual({ status: 7, out: '' });
    expect(await place.run('kill -9 $$')).toMatchObject({ status: 137 });
    expect(await place.run('kill -TERM $$')).toMatchObject({ status: 143 });
    expect(
      await place.run(`printf '%s|' "$A" 'it'"'"'s' "$HOME"`, {
        environment: { PATH: '/usr/bin:/bin', HOME: '/nonexistent', A: "a 'b'\n$c" },
      }),
    ).toMatchObject({
      status: 0,
      out: expect.stringMatching(/^a 'b'\n\$c\|it's\|\//),
    });
  });

  test('a TERM to all processes leaves the command time to end; a KILL of what stands above it ends all of it', async () => {
    const place = givenPlace(uid);
    const polite = place.start(`trap 'echo ending; sleep 0.1; echo ended; exit 3' TERM; echo ready; while :; do sleep 0.05; done`);
    await polite.says('ready');
    signalJob(place.folder.attempt, undefined, 'SIGTERM');
    expect(await polite.ended).toEqual({ status: 3, out: expect.stringMatching(/ending\nended\n$/) });

    const hard = place.start(`(setsid sleep 1000 &) ; echo ready; sleep 1000`);
    await hard.says('ready');
    hard.child.kill('SIGKILL');
    // Whoever still ran would hold the output open.
    await hard.ended;
  });
});

test.skipIf(!hasSandbox)('programs of a person are there, what lies beside them is not [S3]', async () => {
  const place = givenPlace();
  const person = mkdtempSync(join(tmpdir(), 'helix-person-'));
  onTestFinished(() => rmSync(person, { recursive: true, force: true }));
  for (const name of ['.cargo/bin', '.cargo/registry', '.ssh', 'tools/bin']) mkdirSync(join(person, name), { recursive: true });
  for (const name of ['.cargo/bin/mycargo', 'tools/bin/mytool']) {
    writeFileSync(join(person, name), '#!/bin/sh\necho runs\n');
    chmodSync(join(person, name), 0o755);
  }
  for (const name of ['.cargo/credentials.toml', '.ssh/id_ed25519', '.npmrc']) writeFileSync(join(person, name), 'secret');
  const environment = {
    ...baseEnvironment(),
    HOME: person,
    PATH: `${person}:${place.home}:${join(person, '.cargo/bin')}:${join(person, 'tools/bin')}:${path}`,
  };
  const { out } = await place.run(
    'mycargo; mytool; cat ~/.cargo/credentials.toml ~/.ssh/* ~/.npmrc 2>/dev/null; ls -A ~ ~/.cargo; touch ~/.cargo/bin/x 2>/dev/null || echo read-only',
    {
      environment,
    },
  );
  expect(out.replaceAll(person, '~')).toBe('runs\nruns\n~:\n.cargo\ntools\n\n~/.cargo:\nbin\nregistry\nread-only\n');
  // With a network packages are downloaded, which read-only folders would make fail.
  const writes = 'mkdir -p ~/.cargo/registry && touch ~/.cargo/registry/x && echo written';
  expect((await place.run(writes, { environment, network: 'on' })).out).toBe('written\n');
  expect(existsSync(join(person, '.cargo/registry/x'))).toBe(false);
});

test.skipIf(!hasSandbox)(
  'a checkpoint records what sandboxed commands did, commits on a branch of theirs included, and runs nothing of theirs [F3 S3]',
  async () => {
    const worker = givenWorker();
    const repository = givenRepository();
    const commit = repository.commit({ 'a.txt': 'a\n', 'old.txt': 'old\n' });
    const [one] = attempts();
    const server = await worker.connect();
    server.repository = repository.path;
    server.assign(one, { command: 'echo ready; exec sleep 1000', workspace: { project: 'prj_1', commit } });
    await server.reported(one, ({ state }) => state === 'running');
    const tree = join(worker.runFolder, 'trees', 'prj_1', '1');
    const folder = new JobFolder(join(worker.runFolder, 'jobs'), one);
    const trap = join(worker.home, 'trap');
    const command = `set -e; git checkout -q -b mine; echo b >>a.txt; git commit -q -a -m mine; git rev-parse HEAD; echo staged >staged.txt; git add staged.txt; echo loose >loose.txt; rm old.txt
    echo 'touch ${trap}' >/tmp/evil; chmod +x /tmp/evil; git config core.fsmonitor '${trap}'; git config core.hooksPath /tmp`;
    const wrapped = sandboxCommand({
      command,
      root: tree,
      startFolder: tree,
      folder,
      network: 'off',
      environment: baseEnvironment(),
      workerHome: worker.home,
    });
    const mine = execFileSync('/bin/sh', ['-c', wrapped], { encoding: 'utf8', env: { ...baseEnvironment(), HELIX_JOB: one } }).trim();

    server.send({ t: 'checkpoint', attempt: one, request: 'r1', limits: { maxFileBytes: 10_000, maxBytes: 1_000_000, maxMs: 60_000 } });
    await server.until(() => server.checkpoints.length === 1);
    const recorded = server.checkpoints[0]?.commit ?? '';
    const git = (...args: string[]): string => execFileSync('git', ['-C', repository.path, ...args], { encoding: 'utf8' });
    expect(git('rev-parse', `${recorded}^`).trim()).toBe(mine);
    expect(git('rev-parse', `${recorded}^^`).trim()).toBe(commit);
    expect(git('ls-tree', '--name-only', recorded)).toBe('a.txt\nloose.txt\nstaged.txt\n');
    expect(git('show', `${recorded}:a.txt`)).toBe('a\nb\n');
    expect(existsSync(trap)).toBe(false);

    server.send({ t: 'cancel', attempt: one, graceMs: 1_000 });
    await server.over(one);
    const [two] = attempts();
    server.assign(two, {
      command: 'cat a.txt loose.txt staged.txt; git status --short',
      workspace: { project: 'prj_1', commit, restore: { commit: recorded, number: 1 } },
    });
    expect(await server.over(two)).toMatchObject({ state: 'exited', exitCode: 0 });
    expect(await server.read(two, 'out')).toContain('a\nb\nloose\nstaged\n');
  },
);

test('a machine where bwrap is missing, or may do nothing, has no sandbox, and no label that says so [S3]', async () => {
  const programs = mkdtempSync(join(tmpdir(), 'helix-programs-'));
  onTestFinished(() => rmSync(programs, { recursive: true, force: true }));
  expect(await findSandbox(programs)).toBe('none');
  writeFileSync(
    join(programs, 'bwrap'),
    '#!/bin/sh\n[ "$1" = --version ] && exit 0\necho "bwrap: No permissions to create new namespace" >&2; exit 1\n',
  );
  chmodSync(join(programs, 'bwrap'), 0o755);
  expect(await findSandbox(programs)).toBe('none');
  const facts = machineFacts.parse({
    os: 'linux',
    arch: 'x64',
    libc: 'none',
    kernel: '',
    hostname: '',
    cores: 1,
    memoryBytes: 0,
    diskBytes: 0,
    gpus: [],
    tools: {},
    modelServers: {},
    bootId: '',
    user: '',
  });
  expect(capabilityLabels(facts, ['gpu', 'sandbox:full'])).toEqual(['gpu', 'linux', 'none', 'sandbox:none', 'x64']);
  expect(capabilityLabels({ ...facts, sandbox: 'full' })).toContain('sandbox:full');
});

test('a command that cannot be shut in is refused, never run without a sandbox [S3]', async () => {
  vi.resetModules();
  const { sandboxCommand: fresh } = await import('../src/sandbox/sandbox-command.ts');
  const programs = mkdtempSync(join(tmpdir(), 'helix-programs-'));
  onTestFinished(() => rmSync(programs, { recursive: true, force: true }));
  const order = {
    command: 'true',
    root: programs,
    startFolder: programs,
    folder: new JobFolder(programs, 'att_1'),
    network: 'off' as const,
    workerHome: '/nowhere',
  };
  expect(() => fresh({ ...order, environment: { PATH: programs } })).toThrow(
    expect.objectContaining({ code: 'sandbox.unavailable', message: expect.stringContaining('no bwrap') }),
  );
  writeFileSync(join(programs, 'bwrap'), '#!/bin/sh\necho "bwrap: No permissions to create new namespace" >&2; exit 1\n');
  chmodSync(join(programs, 'bwrap'), 0o755);
  expect(findProgram('bwrap', programs)).toBeDefined();
  expect(() => fresh({ ...order, environment: { PATH: `${programs}:/usr/bin:/bin` } })).toThrow(
    expect.objectContaining({ code: 'sandbox.unavailable', message: expect.stringContaining('No permissions') }),
  );
});
