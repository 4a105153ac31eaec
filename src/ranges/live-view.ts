/**
 * A view of something that changes: each field is what it is at the moment of reading.
 *
 * Own properties, not a class: whoever spreads the view gets the values of that moment.
 */

export function liveView<T extends object>(readers: { readonly [K in keyof T]: () => T[K] }): Readonly<T> {
  const view: Partial<T> = {};
  for (const name of Object.keys(readers) as (keyof T)[]) {
    Object.defineProperty(view, name, { enumerable: true, get: readers[name] });
  }
  return Object.freeze(view) as T;
}
