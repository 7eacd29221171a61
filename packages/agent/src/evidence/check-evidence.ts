import type { Receipt } from './receipt.ts';

/** What must be proven before work counts as done. */
export interface EvidenceDemand {
  /** Commands of the project that must pass; with none, nothing is proven, and that is said. */
  commands: string[];
  /** Tests that ran before the work began: fewer at the end mean that some were deleted or skipped. Absent where that is allowed. */
  testsAtStart?: number;
}

export type EvidenceProblem =
  | { kind: 'not_run'; command: string }
  /** It ran, at other files than those that are there now. */
  | { kind: 'outdated'; command: string }
  | { kind: 'failed'; command: string; exitCode: number; outputTail?: string }
  | { kind: 'tests_gone'; before: number; now: number };

export type EvidenceVerdict =
  | { isAccepted: true; proof: 'verified'; receipts: string[] }
  /** The project names no commands: accepted, and told to everybody as unproven. */
  | { isAccepted: true; proof: 'nothing_to_verify'; receipts: [] }
  | { isAccepted: false; problems: EvidenceProblem[] };

/**
 * Whether receipts prove that the work is done: every demanded command passed at the files as they are.
 *
 * @param receipts as the server gives them, oldest first; the last one of a command at these files counts
 * @param treeHash of the files when this is asked, measured by the server. A command that changes files therefore outdates its own receipt
 */
export function checkEvidence(demand: EvidenceDemand, receipts: readonly Receipt[], treeHash: string): EvidenceVerdict {
  if (demand.commands.length === 0) return { isAccepted: true, proof: 'nothing_to_verify', receipts: [] };
  const problems: EvidenceProblem[] = [];
  const proofs: Receipt[] = [];
  for (const command of demand.commands) {
    const ofCommand = receipts.filter((one) => one.command === command);
    const proof = ofCommand.findLast((one) => one.treeHash === treeHash);
    if (ofCommand.length === 0) problems.push({ kind: 'not_run', command });
    else if (proof === undefined) problems.push({ kind: 'outdated', command });
    // A runner that reports failed tests and exits with 0 did not pass.
    else if (proof.exitCode !== 0 || (proof.tests?.failed ?? 0) > 0) {
      const { exitCode, outputTail } = proof;
      problems.push({ kind: 'failed', command, exitCode, ...(outputTail !== undefined && { outputTail }) });
    } else proofs.push(proof);
  }
  if (problems.length === 0 && demand.testsAtStart !== undefined) {
    const now = proofs.reduce((sum, { tests }) => sum + (tests ? tests.passed + tests.failed : 0), 0);
    if (now < demand.testsAtStart) problems.push({ kind: 'tests_gone', before: demand.testsAtStart, now });
  }
  if (problems.length > 0) return { isAccepted: false, problems };
  return { isAccepted: true, proof: 'verified', receipts: proofs.map(({ id }) => id) };
}

/** What a model is told when its work does not count as done. */
export function tellProblems(problems: readonly EvidenceProblem[]): string {
  return [
    'This does not count as done yet: the checks of the project decide, not what is said.',
    ...problems.map(tellProblem),
    'Mend it, then end again. If it cannot be mended, ask.',
  ].join('\n');
}

function tellProblem(problem: EvidenceProblem): string {
  switch (problem.kind) {
    case 'not_run':
      return `- \`${problem.command}\` did not run.`;
    case 'outdated':
      return `- \`${problem.command}\` ran at other files than these. If it changes files itself, its changes must be kept.`;
    case 'failed':
      return `- \`${problem.command}\` failed (exit code ${problem.exitCode})${problem.outputTail === undefined ? '.' : `:\n${problem.outputTail}`}`;
    case 'tests_gone':
      return `- ${problem.now} tests ran, ${problem.before} at the beginning: tests may not be deleted or skipped. Put them back.`;
  }
}
