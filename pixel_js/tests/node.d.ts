/** As much of Node as a test uses. */
declare module "node:fs" {
  export function appendFileSync(path: string, text: string): void;
}
declare const process: { env: Record<string, string | undefined> };
