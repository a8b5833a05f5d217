/** The same core as a module of a page's own bundle; the second file is a chunk loaded when used. */
import { type Extra, type Pixel, start } from "./pixel";

/** As the attributes of the script, in the types of a program (index.d.ts tells what each does). */
export interface Options {
  key: string;
  endpoint: string | URL;
  auto?: boolean;
  consent?: "required";
  cookieless?: boolean;
  gpc?: "off";
  dnt?: "off";
  hash?: boolean;
  link?: string[];
  query?: boolean;
}

const flag = (on?: boolean) => (on ? "" : undefined);

export function load({ key, endpoint, auto, consent, cookieless, gpc, dnt, hash, link, query }: Options): Pixel {
  const pixel: Pixel = [];
  let module: Promise<any> | 0;
  const extra: Extra = (...call) => (module ||= import("./extras")).then((module) => module.run(...call)).catch(() => (module = 0));
  start(
    pixel,
    {
      key,
      endpoint: new URL(endpoint, location.href),
      auto: String(auto ?? true),
      consent,
      cookieless: flag(cookieless),
      gpc,
      dnt,
      hash: flag(hash),
      link: link?.join(),
      query: flag(query),
    } as any,
    extra,
  );
  return pixel;
}
