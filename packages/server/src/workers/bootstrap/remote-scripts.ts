/**
 * What is run on a bare machine, as programs for any POSIX shell. They assume nothing but `/bin/sh` and, under their own
 * names or as `busybox`, a few basic tools; none of them needs root or looks anything up on the network.
 */

/**
 * The command for ssh, the same for every program: understood by sh, bash, zsh, fish and csh, as each of them may be the
 * account's login shell. The program is the first line on stdin (`read` takes no byte more than that line); whatever
 * follows on stdin is the program's input.
 */
export const REMOTE_COMMAND = `exec /bin/sh -c 'IFS= read -r s; eval "$(printf %b "$s")"'`;

/** Makes a program into that one line. */
export function asLine(program: string): string {
  return `${program.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}\n`;
}

/** Starts and ends what the probe has to say; anything before the first was written by somebody else. */
export const PROBE_BEGIN = '\n<<helix-probe/1>>\n';
export const PROBE_END = '\n<<helix-probe-end>>\n';
/** Says that a program came to its good end. */
export const DONE = '\n<<helix-done/1>>\n';

/** How programs end when they say on stderr what went wrong. */
export const EXIT_TOOL_MISSING = 71;
export const EXIT_FOLDER_REFUSED = 72;
export const EXIT_UNPACK_FAILED = 73;
export const EXIT_SMOKE_FAILED = 74;

export interface Installation {
  /** Folder on the worker; the default place when absent. */
  folder: string | undefined;
  runtimeKey: string;
  agentKey: string;
}

const TOOLS = ['uname', 'mkdir', 'mv', 'rm', 'rmdir', 'cat', 'chmod', 'ls', 'df', 'id', 'tar', 'gzip', 'grep'];

/** A login may leave no PATH at all; and a machine may have its tools only inside of busybox. */
const TOOLS_AT_HAND = `PATH="\${PATH:+$PATH:}/usr/bin:/bin:/usr/sbin:/sbin:/usr/local/bin"
LC_ALL=C
export PATH LC_ALL
umask 077
for t in ${TOOLS.join(' ')}; do
  command -v $t >/dev/null 2>&1 || { command -v busybox >/dev/null 2>&1 && eval "$t() { busybox $t \\"\\$@\\"; }"; }
done
`;

function launcherName({ runtimeKey, agentKey }: Installation): string {
  return `${agentKey}.${runtimeKey}`;
}

/** Sets `H` to the first folder that holds this installation, or else to the first that can hold one. */
function findHome(installation: Installation): string {
  const candidates =
    installation.folder === undefined
      ? `"\${HOME:+$HOME/.helix-worker}" "\${XDG_DATA_HOME:+$XDG_DATA_HOME/helix-worker}" "/var/tmp/helix-worker-$(id -u)"`
      : quoteFolder(installation.folder);
  return `H=
for d in ${candidates}; do
  if [ -n "$d" ] && [ -x "$d/bin/${launcherName(installation)}" ] && [ -O "$d" ]; then H=$d; break; fi
done
if [ -z "$H" ]; then
  for d in ${candidates}; do
    [ -n "$d" ] || continue
    mkdir -p "$d" || continue
    if ! [ -O "$d" ]; then echo "$d belongs to somebody else" >&2; continue; fi
    if ! [ -e "$d/.helix-worker" ] && [ -n "$(ls -A "$d")" ]; then echo "$d holds files that are not a worker's" >&2; continue; fi
    printf '#!/bin/sh\\nexit 0\\n' >"$d/.helix-worker" && chmod 700 "$d/.helix-worker" || continue
    if "$d/.helix-worker"; then H=$d; break; fi
    echo "$d may not hold programs (mounted noexec)" >&2
  done
fi
`;
}

/**
 * Tells what the machine is and what it lacks; when it lacks nothing, becomes `attach`, so that a machine that is known
 * costs one connection.
 */
export function probeProgram(installation: Installation, namespace: string): string {
  return `${TOOLS_AT_HAND}${findHome(installation)}R=0
A=0
L=0
if [ -n "$H" ]; then
  [ -d "$H/store/${installation.runtimeKey}" ] && R=1
  [ -d "$H/store/${installation.agentKey}" ] && A=1
  [ -x "$H/bin/${launcherName(installation)}" ] && [ $R$A = 11 ] && L=1
fi
F=
[ $L = 1 ] || { [ -n "$H" ] && F=$(df -Pk "$H" 2>/dev/null | { IFS= read -r x; read -r a b c d e; echo "$d"; }); }
printf '\\n<<helix-probe/1>>\\nos=%s\\narch=%s\\nhome=%s\\nruntime=%s\\nagent=%s\\nready=%s\\nfreeKb=%s\\n' \\
  "$(uname -s)" "$(uname -m)" "$H" $R $A $L "$F"
printf '\\n<<helix-probe-end>>\\n'
[ $L = 1 ] && exec "$H/bin/${launcherName(installation)}" attach --ns ${quoteWord(namespace)}
exit 0
`;
}

/** Unpacks the part that follows on stdin, and moves it into the store whole. Of two that do it at once, one wins. */
export function pushProgram(home: string, key: string): string {
  return `${TOOLS_AT_HAND}S=${quoteWord(home)}/store
T=$S/.tmp.$$.${key}
for t in tar gzip; do
  command -v $t >/dev/null 2>&1 || { echo "the machine has no $t" >&2; exit ${EXIT_TOOL_MISSING}; }
done
mkdir -p "$T/${key}" || exit ${EXIT_FOLDER_REFUSED}
trap 'rm -rf "$T"' EXIT
trap 'exit ${EXIT_UNPACK_FAILED}' HUP INT TERM
{ gzip -dc || : >"$T/broken"; } | tar -xf - -C "$T/${key}" || : >"$T/broken"
[ -e "$T/broken" ] && exit ${EXIT_UNPACK_FAILED}
mv "$T/${key}" "$S/" 2>/dev/null || [ -d "$S/${key}" ] || { echo "$S/${key} could not be put into place" >&2; exit ${EXIT_FOLDER_REFUSED}; }
printf '\\n<<helix-done/1>>\\n'
`;
}

/**
 * Runs the installed agent once; only when it answers does its launcher get its name. Then deletes what is older than
 * the two newest parts of each kind and is not in use; on a home that several machines share nobody can tell, so there
 * it deletes nothing.
 */
export function launcherProgram(home: string, installation: Installation): string {
  const name = launcherName(installation);
  return `${TOOLS_AT_HAND}H=${quoteWord(home)}
B=$H/bin/${name}
mkdir -p "$H/bin" || exit ${EXIT_FOLDER_REFUSED}
cat >"$B.$$" <<'end of launcher'
#!/bin/sh
H=${quoteWord(home)}
HELIX_WORKER_HOME=$H
HELIX_LAUNCHER=$H/bin/${name}
export HELIX_WORKER_HOME HELIX_LAUNCHER
R=$H/store/${installation.runtimeKey}
if [ -e "$R/lib/ld.so" ]; then
  exec "$R/lib/ld.so" --library-path "$R/lib" "$R/node" "$H/store/${installation.agentKey}/agent.cjs" "$@"
fi
exec "$R/node" "$H/store/${installation.agentKey}/agent.cjs" "$@"
end of launcher
chmod 700 "$B.$$" || exit ${EXIT_FOLDER_REFUSED}
"$B.$$" version </dev/null || { echo "the agent did not start" >&2; rm -f "$B.$$"; exit ${EXIT_SMOKE_FAILED}; }
mv -f "$B.$$" "$B" || exit ${EXIT_FOLDER_REFUSED}
cd "$H" || exit ${EXIT_FOLDER_REFUSED}
n=0
for r in run/*; do [ -d "$r" ] && n=$((n + 1)); done
if [ $n -le 1 ] && command -v grep >/dev/null 2>&1; then
  for k in rt ag; do
    i=0
    for p in $(ls -td store/$k-* 2>/dev/null); do
      i=$((i + 1))
      [ $i -le 2 ] && continue
      p=\${p#store/}
      [ "$p" = ${installation.runtimeKey} ] || [ "$p" = ${installation.agentKey} ] && continue
      grep -qsF "$p" /proc/[0-9]*/cmdline && continue
      rm -rf "store/$p" bin/*"$p"*
    done
  done
fi
printf '\\n<<helix-done/1>>\\n'
`;
}

/** Ends the daemon of this server's worker and deletes its things; the whole folder, when nobody else's worker is in it. */
export function uninstallProgram(installation: Installation, namespace: string): string {
  return `${TOOLS_AT_HAND}${findHome(installation)}if [ -n "$H" ] && [ -e "$H/.helix-worker" ]; then
  cd "$H" || exit ${EXIT_FOLDER_REFUSED}
  for b in bin/*; do
    [ -x "$b" ] && "$b" stop --ns ${quoteWord(namespace)} </dev/null >/dev/null && break
  done
  rm -rf run/*/${quoteWord(namespace)} || exit ${EXIT_FOLDER_REFUSED}
  for r in run/*; do rmdir "$r" 2>/dev/null; done
  rmdir run 2>/dev/null
  if ! [ -e run ]; then cd / && rm -rf "$H" || exit ${EXIT_FOLDER_REFUSED}; fi
  rmdir "/tmp/helix-$(id -u)" 2>/dev/null
fi
printf '\\n<<helix-done/1>>\\n'
`;
}

function quoteWord(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** `~` is the one thing a person may write that the shell has to understand. */
function quoteFolder(folder: string): string {
  return folder === '~' || folder.startsWith('~/') ? `"$HOME"${quoteWord(folder.slice(1))}` : quoteWord(folder);
}
