// What the keys do. Listed for people in keys.ts.

import type { Bench } from "./bench.svelte";
import { typing } from "./keys";

interface Acts {
  run: () => void;
  editPrompt: () => void;
  left: () => void;
}

export function onKey(event: KeyboardEvent, bench: Bench, acts: Acts): void {
  if (event.defaultPrevented || document.querySelector("dialog[open]")) return;
  const act = event.key === "F6" ? () => cyclePanels(event.shiftKey) : command(event, bench, acts);
  if (!act) return;
  event.preventDefault();
  act();
}

function command(event: KeyboardEvent, bench: Bench, acts: Acts): (() => void) | undefined {
  const { session, layout, dialogs } = bench;
  const control = event.ctrlKey || event.metaKey;
  const key = event.key.toLowerCase();
  if (control && key === "enter") return acts.run;
  if (typing(event)) return undefined;
  if (control && key === "z") return () => (event.shiftKey ? session.edits.redo() : session.edits.undo());
  if (control && key === "y") return () => session.edits.redo();
  if (control || event.altKey) return undefined;
  const show = ({ a: "A", b: "B", d: "B-A" } as const)[key];
  if (show) return session.b && !(show === "B-A" && session.incomparable) ? () => (session.show = show) : undefined;
  const address = session.selection.address;
  if (key === "z" && address) return () => session.edits.add({ kind: "zero", at: address });
  if (/^[1-9]$/.test(key)) {
    const view = session.views[Number(key) - 1];
    return view && (() => bench.showView(view.name));
  }
  return {
    "?": () => dialogs.show({ name: "help" }),
    e: acts.editPrompt,
    n: () => dialogs.show({ name: "add" }),
    "[": acts.left,
    "]": () => layout.toggle("right"),
    escape: session.selection.empty ? undefined : () => session.selection.clear(),
  }[key];
}

/** Give the focus to the next panel: its chosen tab or first control. */
function cyclePanels(back: boolean): void {
  const panels = [...document.querySelectorAll<HTMLElement>("[data-panel]")];
  const at = panels.findIndex((each) => each.contains(document.activeElement));
  const next = at < 0 ? 0 : (at + (back ? -1 : 1) + panels.length) % panels.length;
  const panel = panels[next];
  const inside =
    panel?.querySelector<HTMLElement>('[aria-selected="true"], input:checked') ??
    panel?.querySelector<HTMLElement>("input, button:not(:disabled), select, [tabindex='0']");
  (inside ?? panel)?.focus();
}
