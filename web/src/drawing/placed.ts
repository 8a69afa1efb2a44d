// Options of a stage in the words of a drawing: not "index 7" but row, column and value, or a head.

import type { StageOptions } from "./stage";

type Told = "onHover" | "onPick" | "onKey" | "onDrag" | "onDrop";

export interface PlacedOptions<T> extends Omit<StageOptions, Told> {
  onHover?: (place: T | null) => void;
  onPick?: (place: T, event: MouseEvent | KeyboardEvent) => void;
  /** A key that the drawing does not know; true where it was handled. */
  onKey?: (event: KeyboardEvent, place: T | null) => boolean;
  /** Fill in what is dragged; false where nothing can be. */
  onDrag?: (place: T, data: DataTransfer) => boolean | void;
  onDrop?: (place: T, data: DataTransfer) => void;
}

/** The same options by index; `find` says what an index is. */
export function byIndex<T>({ onHover, onPick, onKey, onDrag, onDrop, ...rest }: PlacedOptions<T>, find: (at: number) => T): StageOptions {
  const maybe = (at: number | null) => (at === null ? null : find(at));
  return {
    ...rest,
    onHover: onHover && ((at) => onHover(maybe(at))),
    onPick: onPick && ((at, event) => onPick(find(at), event)),
    onKey: onKey && ((event, at) => onKey(event, maybe(at))),
    onDrag: onDrag && ((at, data) => onDrag(find(at), data)),
    onDrop: onDrop && ((at, data) => onDrop(find(at), data)),
  };
}
