/**
 * How this program is started again. With a runtime of our own, the process is the dynamic loader and says nothing of
 * use about itself: then the launcher that started it is named in `HELIX_LAUNCHER`.
 */
export function agentCommand(): string[] {
  const launcher = process.env['HELIX_LAUNCHER'];
  return launcher ? [launcher] : [process.execPath, ...process.execArgv, process.argv[1] ?? ''];
}
