declare const HELIX_AGENT_HASH: string | undefined;

/** Content hash of the bundle this program runs from; `source` when it runs from its sources. */
export const AGENT_HASH = typeof HELIX_AGENT_HASH === 'string' ? HELIX_AGENT_HASH : 'source';
