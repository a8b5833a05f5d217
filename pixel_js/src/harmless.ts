/** The same function, except that it gives undefined where it would throw: no error leaves us. */
export function harmless<A extends unknown[], R>(run: (...args: A) => R): (...args: A) => R | undefined {
  return (...args) => {
    try {
      return run(...args);
    } catch {}
  };
}

/** Listens for events by their names, on window, where those of the document arrive too. */
export function listen(types: string, listener: (event: any) => void): void {
  for (const type of types.split(" ")) addEventListener(type, harmless(listener));
}
