/**
 * What stands behind the question mark of a call.
 */

/** With its question mark; what is undefined is left out. */
export function queryText(fields: { readonly [name: string]: string | number | boolean | undefined }): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(fields)) if (value !== undefined) query.set(name, String(value));
  return query.size === 0 ? '' : `?${query}`;
}
