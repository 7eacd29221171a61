import type { Workspace } from '@helixcode/agent/workspace';
import type { AgentConfig } from '@helixcode/protocol/config/agent-config';
import type { ProjectId } from '@helixcode/protocol/ids';
import type { EventTail } from '../events/event-tail.ts';
import type { MergeQueues } from '../merge/merge-queues.ts';
import type { ModelGateway } from '../models/model-gateway.ts';
import type { ModelProviders } from '../models/model-providers.ts';
import type { Mirrors } from '../projects/mirror.ts';
import type { Notary } from '../receipts/notary.ts';
import type { Checkpoints } from '../tasks/checkpoints.ts';
import type { TaskContext } from '../tasks/task-context.ts';
import type { TaskRow } from '../tasks/task-row.ts';
import type { ProjectFiles } from '../tasks/testing/test-runner.ts';
import type { Seat } from './seat.ts';

/** The files of a seat. */
export interface SeatFiles {
  /** Absolute path of the workspace on its machine. */
  readonly root: string;
  /** For one call of a tool: what it runs has ids made of the call's, so that after a crash it is attached to and not run again. */
  forCall(callId: string): Workspace;
}

/** What agents need from around them. */
export interface AgentDeps extends TaskContext {
  startDriver(task: TaskRow): void;
  tail: Pick<EventTail, 'subscribe'>;
  gateway: ModelGateway;
  providers: Pick<ModelProviders, 'target'>;
  notary: Pick<Notary, 'receiptOf'>;
  checkpoints: Pick<Checkpoints, 'takeOfAttempt' | 'takeWritten'>;
  merges: MergeQueues;
  mirrors: Mirrors;
  projectFiles(project: ProjectId, commit: string): Promise<ProjectFiles>;
  /** What agents may do, and how they are shut in. */
  policy: AgentConfig;
  /** Of this server, as `host:port`: nothing for the commands of agents. */
  ownAddress(): string;
  /** Hash of the tree of a commit. */
  treeOf(project: ProjectId, commit: string): Promise<string>;
  /** @throws CodedError `workspace.gone` */
  openSeat(seat: Seat, signal: AbortSignal): Promise<SeatFiles>;
}
