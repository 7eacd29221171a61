import { CodedError } from '@helixcode/protocol/errors';
import { nearestName } from '@helixcode/protocol/nearest-name';
import type { HelixContext } from '../helix-context.ts';

/** Each asks `helix __complete` with the words so far; it answers with lines of a completion, a tab and what it is. */
const SCRIPTS: Record<string, string> = {
  bash: `_helix() {
  local IFS=$'\\n'
  COMPREPLY=($(helix __complete "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f1))
  [ "\${#COMPREPLY[@]}" -gt 0 ] || compopt -o default
}
complete -F _helix helix
`,
  zsh: `#compdef helix
_helix() {
  local -a found
  local line
  for line in "\${(@f)$(helix __complete "\${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    [[ -n $line ]] && found+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
  done
  if (( \${#found} )); then _describe helix found; else _files; fi
}
compdef _helix helix
`,
  fish: `complete -c helix -f -a '(set -l words (commandline -opc) (commandline -ct); helix __complete $words[2..] 2>/dev/null)'
`,
};

export default async function completion(this: HelixContext, _flags: object, shell: string): Promise<void> {
  const script = SCRIPTS[shell];
  if (script === undefined) {
    const meant = nearestName(shell, Object.keys(SCRIPTS));
    throw new CodedError('cli.bad_usage', `there is no completion for ${shell}${meant === undefined ? '' : `; did you mean ${meant}?`}`, {
      next: 'helix completion bash',
    });
  }
  await this.out.write(script);
}
