// The keys, once: for the handler and for the page that lists them.

export interface Key {
  keys: string;
  does: string;
}

export const KEYS: { title: string; keys: Key[] }[] = [
  {
    title: "Anywhere",
    keys: [
      { keys: "Ctrl Enter", does: "Run" },
      { keys: "Ctrl Z · Ctrl Shift Z", does: "Undo · redo the last change of the edits" },
      { keys: "F6 · Shift F6", does: "Next · previous panel" },
      { keys: "?", does: "This page" },
    ],
  },
  {
    title: "Outside text fields",
    keys: [
      { keys: "E", does: "Edit the prompt" },
      { keys: "A · B · D", does: "Show run A · run B · the difference B−A" },
      { keys: "1 … 9", does: "Go to a view" },
      { keys: "N", does: "Add an edit" },
      { keys: "Z", does: "Zero what is selected" },
      { keys: "[ · ]", does: "Hide or show the left panel · the inspector" },
      { keys: "Escape", does: "Clear the selection" },
    ],
  },
  {
    title: "In lists",
    keys: [
      { keys: "← →", does: "Token before · after; tab before · after" },
      { keys: "Ctrl ← →", does: "On a tab: move it" },
      { keys: "Alt ↑ ↓", does: "On an edit: move it in the stack" },
      { keys: "← ↑ → ↓", does: "In a heat map: cell to cell; on a divider: resize" },
    ],
  },
];

/** Whether a key press belongs to a text field. */
export function typing(event: KeyboardEvent): boolean {
  const on = event.target as HTMLElement;
  if (on.isContentEditable || on.tagName === "TEXTAREA" || on.tagName === "SELECT") return true;
  return on.tagName === "INPUT" && !["checkbox", "radio", "range", "button"].includes((on as HTMLInputElement).type);
}
