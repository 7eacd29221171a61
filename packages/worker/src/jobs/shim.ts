/**
 * The supervisor of one job, in POSIX sh and with its builtins only: it costs a fork and no program. It needs nothing
 * from the daemon once it runs, and everything it learns is a file:
 *
 * - `start`: `<pid> <start time> <boot id>`, made exclusively, so that of two supervisors for one job the second ends.
 * - `out`, `err`: what the command wrote.
 * - `rc`: what `times` prints, then `rc <exit status>`. It is full of dashes from the beginning and overwritten in place,
 *   so that a disk that fills up in between cannot lose the exit status.
 *
 * A value counts when its line is complete. Its stdout tells the daemon of the moment, if there still is one: `s`
 * started, `x` exited, `f` could not begin. It lives on after a TERM to its group, and after a reader that went away
 * (PIPE); its traps are not passed on to the command, and neither are its variables: `hx_id` whose it is, `hx_job` its
 * folder, `hx_err` the file for stderr, `hx_at` the folder to start in, `hx_boot` the boot id, `hx_cmd` the command,
 * `hx_setsid` the program that gives it a session of its own, and `hx_env`, a function that exports the environment.
 */
const SUPERVISE = `
hx_read_stat() {
  read -r hx_pid hx_comm hx_state hx_parent hx_5 hx_6 hx_7 hx_8 hx_9 hx_10 hx_11 hx_12 hx_13 hx_14 hx_15 hx_16 hx_17 \\
    hx_18 hx_19 hx_20 hx_21 hx_since hx_rest </proc/self/stat
}
hx_supervise() {
  trap : TERM INT HUP QUIT PIPE
  cd "$hx_at" || { echo "f $hx_id"; exit; }
  set -C
  { echo "$hx_pid $hx_since $hx_boot" >"$hx_job/start"; } 2>/dev/null || { echo "f $hx_id"; exit; }
  set +C
  { echo "${'-'.repeat(95)}" >"$hx_job/rc"; } 2>/dev/null
  echo "s $hx_id"
  ( hx_env; exec $hx_setsid /bin/sh -c "$hx_cmd" </dev/null >>"$hx_job/out" 2>>"$hx_err" )
  hx_rc=$?
  { times; echo "rc $hx_rc"; } 1<>"$hx_job/rc"
  echo "x $hx_id"
}
`;

/**
 * What a launching shell runs first; then it takes a line per job, made by `launchLine`.
 *
 * `hx_launch` forks the supervisor as the child of a child that it does not wait for: with `&` a shell sets INT and QUIT
 * to ignored, and no command could undo that. The one between would wait; the supervisor kills it, having checked that
 * it is its parent.
 */
export const LAUNCHER_PROGRAM = `${SUPERVISE}
hx_begin() {
  hx_read_stat
  [ "$hx_parent" = "$hx_between" ] && kill -KILL "$hx_between"
  hx_supervise
}
hx_launch() {
  read -r hx_between hx_rest </proc/self/stat
  ( hx_begin )
  :
}
`;

/** For a machine without `/proc` or `setsid`: the same for a shell that serves one job, in the session it was given. */
export const SINGLE_PROGRAM = `${SUPERVISE}
hx_launch() {
  hx_read_stat 2>/dev/null || { hx_pid=$$; hx_since=-; }
  hx_supervise
}
`;

/** Names that belong to shells: setting them is an error in one shell or the other, and every shell makes its own. */
const SHELL_OWN_NAMES = new Set(['PPID', 'UID', 'EUID', 'GROUPS', 'OPTIND', 'SHELLOPTS', 'BASHOPTS', 'BASH_VERSINFO', '_']);

/** What a supervisor must know. */
export interface Launch {
  attempt: string;
  /** Of a command that runs beside the job's own: then stderr goes into `out` too, in the order in which all was written. */
  commandName?: string;
  /** Where its files are. */
  folder: string;
  startFolder: string;
  command: string;
  /** What it has beyond the launching shell's own. Secrets included: the text goes through a pipe, nowhere to disk. */
  environment: Record<string, string>;
}

/** The value of `HELIX_COMMAND`, by which the processes of one command of a job are known; also what its news are of. */
export function commandMark(attempt: string, commandName: string): string {
  return `${attempt}/${commandName}`;
}

/** @returns one command of the launching shell, complete with its line end */
export function launchLine(launch: Launch, boot: string, setsidProgram: string): string {
  const { attempt, commandName, folder } = launch;
  const mark = commandName === undefined ? undefined : commandMark(attempt, commandName);
  const exports = Object.entries({ ...launch.environment, HELIX_JOB: attempt, ...(mark && { HELIX_COMMAND: mark }) })
    .filter(([name]) => !SHELL_OWN_NAMES.has(name))
    .map(([name, value]) => `${name}=${shellWord(value)}`);
  return (
    `( hx_id=${shellWord(mark ?? attempt)} hx_job=${shellWord(folder)} hx_err=${shellWord(`${folder}/${mark ? 'out' : 'err'}`)}` +
    ` hx_at=${shellWord(launch.startFolder)} hx_boot=${shellWord(boot)} hx_setsid=${shellWord(setsidProgram)}` +
    ` hx_cmd=${shellWord(launch.command)};` +
    ` hx_env() { export ${exports.join(' ')}; }; hx_launch ) </dev/null\n`
  );
}

/** @returns `undefined`, or why a shell cannot pass this on to a command */
export function environmentFault(environment: Record<string, string>): string | undefined {
  for (const [name, value] of Object.entries(environment)) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return `${JSON.stringify(name)} is not a name that a shell can export`;
    if (value.includes('\0')) return `the value of ${name} holds a zero byte`;
  }
  return undefined;
}

/** @returns `text` as one word of a shell, whatever is in it but a zero byte */
export function shellWord(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
