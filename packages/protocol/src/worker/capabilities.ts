import { z } from 'zod';

/** What a worker found out about its machine, once per boot and when asked. Sizes are bytes. */
export const machineFacts = z.object({
  os: z.enum(['linux', 'darwin']),
  /** As Node names it: `x64`, `arm64`. */
  arch: z.string(),
  /** `glibc-2.36`, `musl-1.2.3`, or `none` where the machine has no C library of its own. */
  libc: z.string(),
  kernel: z.string(),
  hostname: z.string(),
  cores: z.number().int().positive(),
  memoryBytes: z.number().int().nonnegative(),
  diskBytes: z.number().int().nonnegative(),
  gpus: z.array(z.object({ name: z.string(), memoryBytes: z.number().int().nonnegative() })),
  /** Program name → version as the program itself prints it; only programs that ran. */
  tools: z.record(z.string(), z.string()),
  /** Local model servers that answered, e.g. `ollama` → its base URL. */
  modelServers: z.record(z.string(), z.string()),
  /** `full`: commands can be shut in, with their own view of files, processes and network; `none`: not at all. */
  sandbox: z.enum(['full', 'none']).default('none'),
  /** Changes with every boot of the machine: a job of another boot cannot be running. */
  bootId: z.string(),
  user: z.string(),
});
export type MachineFacts = z.infer<typeof machineFacts>;

/** A beat's numbers. Pressure is the kernel's PSI `some avg10`: the share of time (0–100) in which work waited. */
export const workerLoad = z.object({
  cpuPercent: z.number(),
  cpuPressure: z.number(),
  memoryPressure: z.number(),
  ioPressure: z.number(),
  memoryFreeBytes: z.number(),
  diskFreeBytes: z.number(),
  load1: z.number(),
  runningJobs: z.number().int(),
});
export type WorkerLoad = z.infer<typeof workerLoad>;

/**
 * The labels tasks may ask for, from facts: `linux`, `x64`, `glibc`, each tool by name (`git`, `node`), a tool's major
 * version (`node24`), `gpu`, and each model server as `llm-inference`, and `sandbox:full` or `sandbox:none`. An operator's own labels are added as they are,
 * but for those about the sandbox: that is a fact, and work that must be shut in relies on it.
 */
export function capabilityLabels(facts: MachineFacts, own: readonly string[] = []): string[] {
  const labels = new Set<string>([facts.os, facts.arch, facts.libc.split('-')[0] ?? facts.libc, ...vouchedLabels(own)]);
  // Facts that an older worker found say nothing of it.
  labels.add(facts.sandbox === 'full' ? 'sandbox:full' : 'sandbox:none');
  for (const [tool, version] of Object.entries(facts.tools)) {
    labels.add(tool);
    const major = /\d+/.exec(version)?.[0];
    // `python3` says its major version already.
    if (major && !/\d$/.test(tool)) labels.add(`${tool}${major}`);
  }
  if (facts.gpus.length > 0) labels.add('gpu');
  if (Object.keys(facts.modelServers).length > 0) labels.add('llm-inference');
  return [...labels].sort();
}

/** @returns the labels an operator can vouch for: not those about the sandbox, which a worker has to find out */
export function vouchedLabels(own: readonly string[]): string[] {
  return own.filter((label) => !label.startsWith('sandbox:'));
}
