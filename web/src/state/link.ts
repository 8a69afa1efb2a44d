// The address bar holds the whole state: #run=<id>&view=<name>&s=<base64url of deflated JSON>.

import { Failure } from "../api/failure";
import type { EditJSON } from "../api/types";
import type { Place } from "./selection.svelte";

export type Show = "A" | "B" | "B-A";

export interface LinkState {
  v: 1;
  model: string;
  ids: number[];
  edits: { edit: EditJSON; on: boolean }[];
  /** Run that stands as A, where it is not the same prompt without edits. */
  a?: string;
  show: Show;
  sel: Place;
  view: string;
  params: Record<string, unknown>;
}

export interface Link {
  run: string;
  view: string;
  state: LinkState;
}

export async function writeLink(run: string, state: LinkState): Promise<string> {
  const bytes = await through(new TextEncoder().encode(JSON.stringify(state)), new CompressionStream("deflate"));
  const parts = [`run=${run}`, `view=${encodeURIComponent(state.view)}`, `s=${base64url(bytes)}`];
  return `#${parts.join("&")}`;
}

/** Read the part after `#`; undefined when it holds no state. Throws when the state is broken. */
export async function readLink(hash: string): Promise<Link | undefined> {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  const packed = given.get("s");
  if (!packed) return undefined;
  const state = await unpacked(packed);
  if (!isState(state)) {
    throw new Failure({ what: "this link holds another state than this version reads", mend: "open it with the version of Residuum that wrote it, or copy a new link" });
  }
  return { run: given.get("run") ?? "", view: given.get("view") ?? state.view, state };
}

/** The run that a link names, where it names no state; undefined where it has one, or names none. */
export function bareRun(hash: string): string | undefined {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  return given.get("s") ? undefined : (given.get("run") ?? undefined);
}

async function unpacked(packed: string): Promise<unknown> {
  try {
    const bytes = await through(fromBase64url(packed), new DecompressionStream("deflate"));
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    throw new Failure({ what: "this link is damaged: a part of it is missing or was changed", mend: "copy it again, whole, from where it came from; a mail program may have cut it" });
  }
}

function isState(value: unknown): value is LinkState {
  if (typeof value !== "object" || value === null) return false;
  const state = value as Partial<LinkState>;
  return (
    state.v === 1 &&
    typeof state.model === "string" &&
    Array.isArray(state.ids) &&
    state.ids.every((each) => Number.isInteger(each)) &&
    Array.isArray(state.edits) &&
    state.edits.every((each) => typeof each?.edit?.kind === "string" && typeof each.edit.at === "string")
  );
}

async function through(bytes: Uint8Array<ArrayBuffer>, stream: CompressionStream | DecompressionStream): Promise<Uint8Array<ArrayBuffer>> {
  const whole = new Blob([bytes]).stream().pipeThrough(stream);
  return new Uint8Array(await new Response(whole).arrayBuffer());
}

function base64url(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

function fromBase64url(text: string): Uint8Array<ArrayBuffer> {
  const plain = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
  return Uint8Array.from(plain, (letter) => letter.charCodeAt(0));
}
