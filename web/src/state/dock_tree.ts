// How the middle is split: a tree of rows and columns whose leaves are groups of tabs. Pure
// functions: each returns a new tree.

export interface Group {
  readonly kind: "group";
  readonly id: string;
  readonly tabs: readonly string[];
  readonly active: string;
}

export interface Split {
  readonly kind: "split";
  readonly dir: "row" | "column";
  /** Shares of the room, which sum to 1. */
  readonly sizes: readonly number[];
  readonly children: readonly DockNode[];
}

export type DockNode = Group | Split;
export type Edge = "left" | "right" | "top" | "bottom";

export const EMPTY: Group = { kind: "group", id: "g1", tabs: [], active: "" };

export function groups(tree: DockNode): Group[] {
  return tree.kind === "group" ? [tree] : tree.children.flatMap(groups);
}

export function groupOf(tree: DockNode, tab: string): Group | undefined {
  return groups(tree).find((each) => each.tabs.includes(tab));
}

export function activate(tree: DockNode, tab: string): DockNode {
  return mapGroups(tree, (each) => (each.tabs.includes(tab) && each.active !== tab ? { ...each, active: tab } : each));
}

/** Move a tab into a group, before the tab that stands at `index` there (or last). */
export function moveTab(tree: DockNode, tab: string, to: string, index = Infinity): DockNode {
  if (!groups(tree).some((each) => each.id === to)) return tree;
  const moved = mapGroups(tree, (each) => {
    const rest = without(each, tab);
    if (each.id !== to) return rest;
    const before = each.tabs.slice(0, index).filter((name) => name !== tab).length;
    const tabs = [...rest.tabs.slice(0, before), tab, ...rest.tabs.slice(before)];
    return { ...each, tabs, active: tab };
  });
  return tidy(moved);
}

/** Move a tab into a new group at one edge of a group. */
export function splitTab(tree: DockNode, tab: string, beside: string, edge: Edge): DockNode {
  const target = groups(tree).find((each) => each.id === beside);
  if (!target || (target.tabs.length === 1 && target.tabs[0] === tab)) return tree;
  const fresh: Group = { kind: "group", id: freshId(tree), tabs: [tab], active: tab };
  const dir = edge === "left" || edge === "right" ? "row" : "column";
  const first = edge === "left" || edge === "top";
  const put = (node: DockNode): DockNode => {
    if (node.kind === "split") return { ...node, children: node.children.map(put) };
    const rest = without(node, tab);
    if (node.id !== beside) return rest;
    return { kind: "split", dir, sizes: [0.5, 0.5], children: first ? [fresh, rest] : [rest, fresh] };
  };
  return tidy(put(tree));
}

/** Set the sizes of the split at a path of child numbers. */
export function resize(tree: DockNode, path: readonly number[], sizes: readonly number[]): DockNode {
  if (tree.kind === "group") return tree;
  if (!path.length) return { ...tree, sizes: shares(sizes) };
  const [at, ...rest] = path;
  return { ...tree, children: tree.children.map((each, i) => (i === at ? resize(each, rest, sizes) : each)) };
}

/** Fit a remembered tree to the tabs that there are: unknown ones go, new ones join the first group. */
export function fit(tree: DockNode, known: readonly string[]): DockNode {
  const seen = new Set<string>();
  let fitted = mapGroups(tree, (each) => {
    const tabs = each.tabs.filter((tab) => known.includes(tab) && !seen.has(tab));
    tabs.forEach((tab) => seen.add(tab));
    return { ...each, tabs, active: tabs.includes(each.active) ? each.active : (tabs[0] ?? "") };
  });
  fitted = tidy(fitted);
  const missing = known.filter((tab) => !seen.has(tab));
  const first = groups(fitted)[0];
  return mapGroups(fitted, (each) =>
    each.id === first.id ? { ...each, tabs: [...each.tabs, ...missing], active: each.active || (missing[0] ?? "") } : each,
  );
}

/** Read a tree back from storage; undefined when it is none. */
export function readTree(value: unknown, depth = 0): DockNode | undefined {
  if (typeof value !== "object" || value === null || depth > 8) return undefined;
  const node = value as Partial<Split> & Partial<Group>;
  if (value && (value as DockNode).kind === "group") {
    const fine = typeof node.id === "string" && Array.isArray(node.tabs) && node.tabs.every((tab) => typeof tab === "string");
    return fine ? { kind: "group", id: node.id!, tabs: node.tabs!, active: String(node.active ?? "") } : undefined;
  }
  if (!Array.isArray(node.children) || (node.dir !== "row" && node.dir !== "column")) return undefined;
  const children = node.children.map((each) => readTree(each, depth + 1));
  if (children.some((each) => !each) || !Array.isArray(node.sizes) || node.sizes.length !== children.length) return undefined;
  return { kind: "split", dir: node.dir, sizes: shares(node.sizes.map(Number)), children: children as DockNode[] };
}

function without(group: Group, tab: string): Group {
  if (!group.tabs.includes(tab)) return group;
  const at = group.tabs.indexOf(tab);
  const tabs = group.tabs.filter((each) => each !== tab);
  const active = group.active === tab ? (tabs[Math.min(at, tabs.length - 1)] ?? "") : group.active;
  return { ...group, tabs, active };
}

function mapGroups(tree: DockNode, change: (group: Group) => Group): DockNode {
  if (tree.kind === "group") return change(tree);
  return { ...tree, children: tree.children.map((each) => mapGroups(each, change)) };
}

/** Drop empty groups, splits of one, and splits inside splits of the same direction. */
function tidy(tree: DockNode): DockNode {
  return prune(tree) ?? { ...groups(tree)[0], tabs: [], active: "" };
}

function prune(node: DockNode): DockNode | undefined {
  if (node.kind === "group") return node.tabs.length ? node : undefined;
  const kept: DockNode[] = [];
  const sizes: number[] = [];
  node.children.forEach((child, i) => {
    const left = prune(child);
    if (!left) return;
    if (left.kind === "split" && left.dir === node.dir) {
      kept.push(...left.children);
      sizes.push(...left.sizes.map((each) => each * node.sizes[i]));
    } else {
      kept.push(left);
      sizes.push(node.sizes[i]);
    }
  });
  if (kept.length < 2) return kept[0];
  return { ...node, children: kept, sizes: shares(sizes) };
}

function shares(sizes: readonly number[]): number[] {
  const fine = sizes.map((each) => (Number.isFinite(each) && each > 0.02 ? each : 0.02));
  const sum = fine.reduce((total, each) => total + each, 0);
  return fine.map((each) => each / sum);
}

function freshId(tree: DockNode): string {
  const taken = new Set(groups(tree).map((each) => each.id));
  let n = 1;
  while (taken.has(`g${n}`)) n++;
  return `g${n}`;
}
