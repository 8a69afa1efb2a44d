// The views: one Svelte file each, named as the server names them with a capital, loaded when first
// shown.

import type { Component } from "svelte";

import type { Edits } from "../state/edits.svelte";
import type { Selection } from "../state/selection.svelte";
import type { Session } from "../state/session.svelte";

export interface ViewProps {
  session: Session;
  selection: Selection;
  edits: Edits;
}

const FILES = import.meta.glob<{ default: Component<ViewProps> }>("../views/*.svelte");

/** Load the component of a view; undefined when these pages have none of this name. */
export function loadView(name: string): Promise<Component<ViewProps>> | undefined {
  const file = FILES[`../views/${name[0]?.toUpperCase()}${name.slice(1)}.svelte`];
  return file?.().then((module) => module.default);
}
