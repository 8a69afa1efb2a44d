// Save what a view shows as a file.

import type { Savable } from "./ViewHeader.svelte";

const TYPES = { svg: "image/svg+xml", png: "image/png", csv: "text/csv", json: "application/json" };

export async function save(from: Savable, kind: keyof typeof TYPES, run: string): Promise<void> {
  const made = await from[kind]?.();
  if (made === undefined) return;
  const text = kind === "json" && typeof made !== "string" ? JSON.stringify(made, null, 1) : made;
  const blob = text instanceof Blob ? text : new Blob([text as string], { type: TYPES[kind] });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${from.name}${run ? `-${run.slice(0, 8)}` : ""}.${kind}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
