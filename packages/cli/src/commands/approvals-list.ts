import { connect } from '../connect.ts';
import type { HelixContext } from '../helix-context.ts';
import { formatAge } from '../output/amounts.ts';
import { answeringCommand } from '../sessions/approval-lines.ts';

interface Flags {
  session?: string;
  all?: boolean;
}

export default async function approvalsList(this: HelixContext, flags: Flags): Promise<void> {
  const { out } = this;
  const { items } = await (await connect(this)).call('approvals.list', {
    query: { all: flags.all ?? false, ...(flags.session !== undefined && { session: flags.session }) },
  });
  const nowMs = Date.now();
  out.list(
    items,
    [
      { title: 'id', cell: (approval) => approval.id },
      { title: 'kind', cell: (approval) => approval.kind },
      { title: 'session', cell: (approval) => approval.session },
      { title: 'asked', cell: (approval) => formatAge(approval.askedAt, nowMs) },
      ...(flags.all
        ? [
            {
              title: 'answer',
              cell: ({ answer }: (typeof items)[number]) =>
                answer === undefined
                  ? ''
                  : `${answer.isAccepted ? 'accepted' : 'refused'}${answer.text === undefined ? '' : `: ${answer.text}`}`,
            },
          ]
        : []),
      { title: 'question', cell: (approval) => approval.question },
    ],
    { whenEmpty: 'nothing waits for a person' },
  );
  const open = items.find(({ answeredAt }) => answeredAt === undefined);
  if (open) out.hint(`helix approvals show ${open.id}; ${answeringCommand(open)}`);
}
