/** Printed by `attach` before the first frame; whatever a login shell wrote ahead of it is skipped. */
export const PREAMBLE = '\n<<helix-worker/1>>\n';
/** How much foreign text may stand before the preamble. */
export const PREAMBLE_SEARCH_BYTES = 64 * 1024;
