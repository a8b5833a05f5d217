/** The same function, except that it gives undefined where it would throw: no error leaves us. */
export function harmless<A extends unknown[], R>(run: (...args: A) => R): (...args: A) => R | undefined {
  return (...args) => {
    try {
      return run(...args);
    } catch {
      return undefined;
    }
  };
}
