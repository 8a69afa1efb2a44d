// The layout, remembered on this computer: side panels, sizes, how the middle is split.

import { type DockNode, EMPTY, type Edge, activate, fit, groupOf, moveTab, readTree, resize, splitTab } from "./dock_tree";

const KEY = "residuum.layout";
const VERSION = 1;
export const LIMITS = { left: [180, 420], right: [220, 520], bottom: [84, 420] } as const;

interface Kept {
  v: number;
  left: Side;
  right: Side;
  bottom: number;
  answer: boolean;
  tree: DockNode;
}

interface Side {
  open: boolean;
  width: number;
}

export type LeftTab = "examples" | "history";
/** What a narrow screen shows: one thing at a time. */
export type Page = "views" | "inspector" | "history" | "examples";

function fresh(): Kept {
  return {
    v: VERSION,
    left: { open: true, width: 248 },
    right: { open: true, width: 300 },
    bottom: 320,
    answer: true,
    tree: EMPTY,
  };
}

export class Layout {
  left = $state<Side>(fresh().left);
  right = $state<Side>(fresh().right);
  bottom = $state(fresh().bottom);
  /** Whether the answer line is unfolded. */
  answer = $state(true);
  tree = $state.raw<DockNode>(EMPTY);
  leftTab = $state<LeftTab>("examples");
  page = $state<Page>("views");
  #known: readonly string[] = [];

  constructor() {
    const kept = load();
    this.#take(kept);
  }

  /** Tell which views there are, in order. */
  know(names: readonly string[]): void {
    this.#known = names;
    this.tree = fit(this.tree, names);
  }

  activate(tab: string): void {
    this.#put(activate(this.tree, tab));
  }

  shown(tab: string): boolean {
    return groupOf(this.tree, tab)?.active === tab;
  }

  move(tab: string, group: string, index?: number): void {
    this.#put(moveTab(this.tree, tab, group, index));
  }

  split(tab: string, group: string, edge: Edge): void {
    this.#put(splitTab(this.tree, tab, group, edge));
  }

  resizeSplit(path: readonly number[], sizes: readonly number[]): void {
    this.#put(resize(this.tree, path, sizes));
  }

  setSize(which: "left" | "right" | "bottom", size: number): void {
    const [low, high] = LIMITS[which];
    const fitting = Math.round(Math.max(low, Math.min(high, size)));
    if (which === "bottom") this.bottom = fitting;
    else this[which] = { ...this[which], width: fitting };
    this.keep();
  }

  toggle(which: "left" | "right", open = !this[which].open): void {
    this[which] = { ...this[which], open };
    this.keep();
  }

  reset(): void {
    localStorage.removeItem(KEY);
    this.#take(fresh());
    this.tree = fit(this.tree, this.#known);
  }

  keep(): void {
    const { left, right, bottom, answer, tree } = this;
    const kept: Kept = { v: VERSION, left, right, bottom, answer, tree };
    localStorage.setItem(KEY, JSON.stringify(kept));
  }

  #put(tree: DockNode): void {
    if (tree === this.tree) return;
    this.tree = tree;
    this.keep();
  }

  #take(kept: Kept): void {
    this.left = kept.left;
    this.right = kept.right;
    this.bottom = kept.bottom;
    this.answer = kept.answer;
    this.tree = kept.tree;
  }
}

function load(): Kept {
  const start = fresh();
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "null") as Partial<Kept> | null;
    const tree = readTree(kept?.tree);
    if (kept?.v !== VERSION || !tree) return start;
    return { ...start, ...kept, tree } as Kept;
  } catch {
    return start;
  }
}
