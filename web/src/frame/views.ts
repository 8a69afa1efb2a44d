// The views: one Svelte file each, named as the server names them with a capital, loaded when first
// shown. Parts of a view have a second capital (AttentionGrid.svelte) and come with it.

import type { Component } from "svelte";

import type { Edits } from "../state/edits.svelte";
import type { Selection } from "../state/selection.svelte";
import type { Session } from "../state/session.svelte";

export interface ViewProps {
  session: Session;
  selection: Selection;
  edits: Edits;
}

const FILES = import.meta.glob<{ default: Component<ViewProps> }>(["../views/*.svelte", "!../views/*[a-z_][A-Z]*.svelte"]);

/** Load the component of a view; undefined when these pages have none of this name. */
export function loadView(name: string): Promise<Component<ViewProps>> | undefined {
  const file = FILES[`../views/${name[0]?.toUpperCase()}${name.slice(1)}.svelte`];
  return file?.().then((module) => module.default);
}
