import { harmless } from "./harmless";
import { newId } from "./id";
import { type Bag, isBag, plain } from "./json";
import { read, readCookie, remove, write, writeCookie } from "./storage";

const ANONYMOUS = "_px_aid";
const USER = "_px_uid";
const TRAITS = "_px_traits";

/** Read anew at each call, so that tabs agree and a cleared storage is healed by the cookie. */
export function anonymousId(): string {
  return read(ANONYMOUS) || setAnonymousId(readCookie(ANONYMOUS) || newId());
}

export function setAnonymousId(id: string): string {
  write(ANONYMOUS, id);
  writeCookie(ANONYMOUS, id);
  return id;
}

export function userId(): string | undefined {
  return read(USER) || undefined;
}

export function traits(): Bag {
  const kept: unknown = harmless(JSON.parse)(read(TRAITS) || "");
  return isBag(kept) ? kept : {};
}

/** Another user at the same browser is another visitor: nothing of the former stays. */
export function identify(id?: string, given?: Bag): void {
  const former = userId();
  if (id && former && id !== former) reset();
  if (id) write(USER, id);
  if (given) write(TRAITS, JSON.stringify(plain({ ...traits(), ...given })));
}

export function reset(): void {
  remove(USER);
  remove(TRAITS);
  setAnonymousId(newId());
}
