/** How an agent's work ended: the result of its task. */
export interface AgentResult {
  session: string;
  text: string;
  proof: 'verified' | 'nothing_to_verify' | 'plan';
  receipts: string[];
  /** Its files as one commit on the base; absent when it changed none. */
  commit?: string;
  changedFiles: string[];
  plan?: unknown;
}
