import { describe, expect, it } from "vitest";

import { type DockNode, EMPTY, type Split, activate, fit, groupOf, groups, moveTab, readTree, resize, splitTab } from "../../src/state/dock_tree";

const VIEWS = ["attention", "lens", "residual", "patching"];
const start = fit(EMPTY, VIEWS);
const shape = (tree: DockNode): unknown => (tree.kind === "group" ? tree.tabs.join() : [tree.dir, ...tree.children.map(shape)]);

describe("the dock", () => {
  it("begins as one group with all views", () => {
    expect(shape(start)).toBe("attention,lens,residual,patching");
    expect(groups(start)[0].active).toBe("attention");
  });

  it("splits a tab off to an edge", () => {
    const split = splitTab(start, "lens", "g1", "right");
    expect(shape(split)).toEqual(["row", "attention,residual,patching", "lens"]);
    expect(shape(splitTab(start, "lens", "g1", "top"))).toEqual(["column", "lens", "attention,residual,patching"]);
  });

  it("keeps one row flat when it is split again, with sizes that sum to 1", () => {
    let tree = splitTab(start, "lens", "g1", "right");
    tree = splitTab(tree, "residual", groupOf(tree, "lens")!.id, "right");
    expect(shape(tree)).toEqual(["row", "attention,patching", "lens", "residual"]);
    expect((tree as Split).sizes.reduce((a, b) => a + b)).toBeCloseTo(1);
  });

  it("drops a group that a move leaves empty", () => {
    const split = splitTab(start, "lens", "g1", "right");
    const back = moveTab(split, "lens", "g1", 0);
    expect(shape(back)).toBe("lens,attention,residual,patching");
    expect(groupOf(back, "lens")!.active).toBe("lens");
  });

  it.each([
    ["attention", 2, "lens,attention,residual,patching"],
    ["patching", 0, "patching,attention,lens,residual"],
    ["lens", 99, "attention,residual,patching,lens"],
  ])("moves %s before place %d of its group", (tab, index, expected) => {
    expect(shape(moveTab(start, tab, "g1", index))).toBe(expected);
  });

  it("keeps a tab that is alone where it is", () => {
    const alone = fit(EMPTY, ["lens"]);
    expect(splitTab(alone, "lens", "g1", "left")).toBe(alone);
    expect(moveTab(start, "lens", "no such group")).toBe(start);
  });

  it("fits a remembered tree to the views that there are", () => {
    const kept = splitTab(start, "lens", "g1", "right");
    expect(shape(fit(kept, ["attention", "steering"]))).toBe("attention,steering");
    expect(shape(fit(kept, [...VIEWS, "steering"]))).toEqual(["row", "attention,residual,patching,steering", "lens"]);
  });

  it("activates and resizes", () => {
    const split = splitTab(start, "lens", "g1", "right");
    expect(groupOf(activate(split, "patching"), "patching")!.active).toBe("patching");
    expect((resize(split, [], [3, 1]) as Split).sizes).toEqual([0.75, 0.25]);
  });

  it("reads itself back from JSON, and nothing else", () => {
    const split = splitTab(start, "lens", "g1", "bottom");
    expect(readTree(JSON.parse(JSON.stringify(split)))).toEqual(split);
    for (const wrong of [null, 3, {}, { kind: "split", dir: "row", sizes: [1], children: [] }, { kind: "group", id: 1, tabs: [] }]) {
      expect(readTree(wrong)).toBeUndefined();
    }
  });

  it("never loses or doubles a tab, whatever is done to it", () => {
    let seed = 7;
    const next = (n: number) => (seed = (seed * 1103515245 + 12345) % 2 ** 31) % n;
    let tree = start;
    for (let step = 0; step < 400; step++) {
      const tab = VIEWS[next(4)];
      const all = groups(tree);
      const to = all[next(all.length)].id;
      tree = next(2) ? moveTab(tree, tab, to, next(5)) : splitTab(tree, tab, to, (["left", "right", "top", "bottom"] as const)[next(4)]);
      expect(groups(tree).flatMap((each) => each.tabs).sort()).toEqual([...VIEWS].sort());
      expect(groups(tree).every((each) => each.tabs.includes(each.active))).toBe(true);
    }
  });
});
