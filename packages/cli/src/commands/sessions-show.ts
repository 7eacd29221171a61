import { connect } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';
import { formatTokens } from '../output/amounts.ts';
import { oneLine, padText } from '../output/text-width.ts';
import { createEntryReader } from '../sessions/entry-lines.ts';
import { planLines } from '../sessions/plan-lines.ts';
import { readEntries } from '../sessions/read-entries.ts';
import { factsOf } from '../sessions/session-screen.ts';
import { renderSessionState } from '../sessions/session-state.ts';

interface Flags {
  last: number;
  full?: boolean;
}

const USUAL_LINES = 12;

export default async function sessionsShow(this: HelixContext, flags: Flags, id: string): Promise<void> {
  const { out } = this;
  const { style } = out;
  const connection = await connect(this);
  const session = await connection.call('sessions.get', { params: { session: id } });
  const entries = await readEntries(connection, id, 0);
  if (out.format === 'json') return out.json({ session, entries });
  if (out.format === 'jsonl') {
    out.json({ session });
    for (const entry of entries) out.json({ entry });
    return;
  }

  const reader = createEntryReader(style, flags.full ? undefined : USUAL_LINES);
  const shown = entries.map((entry) => ({ entry, lines: reader.read(entry) }));
  const hidden = Math.max(0, shown.length - flags.last);
  const width = String(entries.at(-1)?.id ?? 0).length + 1;
  const facts = [...factsOf(session), `${formatTokens(session.inputTokens + session.outputTokens)} tokens`, oneLine(session.model)];
  out.line(`${renderSessionState(session.state, style)}  ${style.bold(oneLine(session.title))}  ${style.dim(facts.join('  '))}`);
  if (session.waitsFor !== undefined) out.line(style.yellow(`waits: ${oneLine(session.waitsFor)}`));
  if (session.forkOf !== undefined) out.line(style.dim(`a fork of ${session.forkOf}`));
  if (hidden > 0) out.line(style.dim(`${style.glyphs.ellipsis} ${hidden} earlier entries`));
  for (const { entry, lines } of shown.slice(hidden))
    for (const [index, line] of lines.entries())
      out.line(`${style.dim(padText(index === 0 ? `#${entry.id}` : '', width))}  ${line}`.trimEnd());
  const { ending, failure } = session;
  if (ending?.plan !== undefined) for (const line of planLines(ending.plan, style)) out.line(line);
  if (ending && ending.changedFiles.length > 0) out.line(`changed: ${ending.changedFiles.map(oneLine).join(', ')}`);
  if (failure) out.line(style.red(`${oneLine(failure.message)} (${oneLine(failure.code)})`));
  out.hint(
    session.state === 'parked'
      ? `helix sessions attach ${id}`
      : ending?.commit !== undefined
        ? `helix sessions fetch ${id}`
        : `helix sessions rewind ${id} --to <number>; helix sessions fork ${id} --at <number>`,
  );
}
