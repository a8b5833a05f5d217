/** Nothing of ours waits longer for an answer, or for other tabs. */
export const PATIENCE_MS = 30_000;

/** The same function, except that it gives undefined where it would throw: no error leaves us. */
export function harmless<A extends unknown[], R>(run: (...args: A) => R): (...args: A) => R | undefined {
  return (...args) => {
    try {
      return run(...args);
    } catch {}
  };
}

/** Listens for events by their names, on window, where those of the document are heard on their way. */
export function listen(types: string, listener: (event: any) => void): void {
  types.split(" ").forEach((type) => addEventListener(type, harmless(listener), true));
}
