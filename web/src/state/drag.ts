// A place of a run that a person drags: dropped on another place it becomes a patch.

export const PLACE = "application/x-residuum-place";

export interface DraggedPlace {
  run: string;
  at: string;
}

export function writePlace(transfer: DataTransfer | null, place: DraggedPlace): void {
  if (!transfer) return;
  transfer.setData(PLACE, JSON.stringify(place));
  transfer.setData("text/plain", place.at);
  transfer.effectAllowed = "copy";
}

export function readPlace(transfer: DataTransfer | null): DraggedPlace | undefined {
  try {
    const place: unknown = JSON.parse(transfer?.getData(PLACE) ?? "");
    const { run, at } = place as DraggedPlace;
    return typeof run === "string" && typeof at === "string" ? { run, at } : undefined;
  } catch {
    return undefined; // something else was dropped: not ours
  }
}

/** Whether what hovers is a place; its content can only be read when it is dropped. */
export function carriesPlace(transfer: DataTransfer | null): boolean {
  return transfer?.types.includes(PLACE) ?? false;
}
