// One tooltip and one live region for the whole page.

/** Make an element. */
export function node<K extends keyof HTMLElementTagNameMap>(
  tag: K, attributes: Record<string, string> = {}, text = "",
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text) made.textContent = text;
  return made;
}

let tip: HTMLElement | null = null;
let live: HTMLElement | null = null;

/** Show lines beside a point of the window; the tip lives in the dialog that holds `host`, if any. */
export function showTip(host: Element, lines: readonly string[], x: number, y: number): void {
  tip ??= node("div", { class: "rz-tip", role: "presentation", hidden: "" });
  const home = host.closest("dialog") ?? document.body;
  if (tip.parentNode !== home) home.append(tip);
  tip.replaceChildren(...lines.map((line, i) => node("div", i ? {} : { class: "rz-tip-head" }, line)));
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  const left = x + 14 + box.width > innerWidth - 4 ? x - 14 - box.width : x + 14;
  const top = y + 14 + box.height > innerHeight - 4 ? y - 14 - box.height : y + 14;
  tip.style.left = `${Math.max(4, left)}px`;
  tip.style.top = `${Math.max(4, top)}px`;
}

/** Hide the tip and bring it back to the page. */
export function hideTip(): void {
  if (!tip) return;
  tip.hidden = true;
  if (tip.parentNode !== document.body) document.body.append(tip);
}

/** Tell readers who cannot see it. */
export function announce(text: string): void {
  prepareLive();
  live!.textContent = text;
}

/** The live region must be there before it speaks. */
export function prepareLive(): void {
  live ??= node("div", { class: "rz-live", "aria-live": "polite" });
  if (!live.isConnected) document.body.append(live);
}
