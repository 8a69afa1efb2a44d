// Which dialog is open. One at a time.

import type { EditKind } from "../api/types";

export type Open =
  | { name: "help" }
  | { name: "add"; kind?: EditKind; at?: string }
  | { name: "code"; title: string; text: string; note?: string };

export class Dialogs {
  open = $state.raw<Open | undefined>();

  show(open: Open): void {
    this.open = open;
  }

  close(): void {
    this.open = undefined;
  }
}
