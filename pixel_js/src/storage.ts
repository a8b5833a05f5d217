import { harmless } from "./harmless";

/** What the browser did not keep (storage blocked, full, a sandboxed frame) lives as the page does. */
const memory = new Map<string, string>();

export const read = harmless((key: string) => memory.get(key) || localStorage.getItem(key));

export const write = harmless((key: string, value: string) => {
  memory.set(key, value);
  localStorage.setItem(key, value);
  memory.delete(key);
});

export const remove = harmless((key: string) => {
  memory.delete(key);
  localStorage.removeItem(key);
});

export const keysWith = harmless((prefix: string) =>
  Object.keys(localStorage).filter((key) => key.startsWith(prefix)),
);

export const readCookie = harmless((name: string) => {
  const found = document.cookie.split("; ").find((cookie) => cookie.startsWith(name + "="));
  return found && decodeURIComponent(found.slice(name.length + 1));
});

export const writeCookie = harmless((name: string, value: string) => {
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `${name}=${encodeURIComponent(value)}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
});
