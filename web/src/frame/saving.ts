// Save what a view shows as a file.

import type { AnyChart, Savable } from "./ViewHeader.svelte";

const TYPES = { svg: "image/svg+xml", png: "image/png", csv: "text/csv", json: "application/json" };

/** The four files of a drawing; the code that writes them is loaded when one is asked for. */
export function charted(chart: AnyChart, title: string): Savable {
  const files = () => import("../drawing/export");
  const name = title.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");
  return {
    name: name || "figure",
    svg: async () => (await files()).exportSvg(chart, { title }),
    png: async () => (await files()).exportPng(chart, { title }),
    csv: async () => (await files()).exportCsv(chart),
    json: async () => (await files()).exportJson(chart, { title }),
  };
}

const LONGEST = 60;

/** A file's name of at most 60 letters; the first words of a long title say what it is. */
export function fileName(name: string, kind: string, run: string): string {
  const end = `${run ? `-${run.slice(0, 8)}` : ""}.${kind}`, room = LONGEST - end.length;
  const cut = name.length > room ? name.slice(0, room + 1).replace(/-[^-]*$/, "") : name;
  return cut.slice(0, room) + end;
}

export async function save(from: Savable, kind: keyof typeof TYPES, run: string): Promise<void> {
  const made = await from[kind]?.();
  if (made === undefined) return;
  const content = made instanceof Blob || typeof made === "string" ? made : JSON.stringify(made, null, 1);
  const blob = content instanceof Blob ? content : new Blob([content], { type: TYPES[kind] });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = fileName(from.name, kind, run);
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
