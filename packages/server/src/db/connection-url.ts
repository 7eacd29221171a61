/** The schema all our tables are in, beside the engine's own. */
export const ourSchema = 'helix';

/** The address with our schema as search path, next to whatever options the person gave in it. */
export function connectionUrl(url: string): string {
  const parsed = new URL(url);
  const given = parsed.searchParams.get('options');
  const ours = `-c search_path=${ourSchema}`;
  parsed.searchParams.set('options', given === null ? ours : `${given} ${ours}`);
  return parsed.href;
}
