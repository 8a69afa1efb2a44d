// Light and dark: which one it is, its inks, and who wants to know when it changes.

export type ThemeName = "light" | "dark";

export interface Theme {
  name: ThemeName;
  ink: string;
  faint: string;
  rule: string;
  paper: string;
  accent: string;
}

const INKS: Record<ThemeName, Omit<Theme, "name">> = {
  light: { ink: "#1b1f24", faint: "#5b6470", rule: "#e2e5e9", paper: "#ffffff", accent: "#0a5ca8" },
  dark: { ink: "#e8ebef", faint: "#9aa4b1", rule: "#343a43", paper: "#171a1f", accent: "#6db3f0" },
};

/** The inks of a theme. */
export function themed(name: ThemeName = themeName()): Theme {
  return { name, ...INKS[name] };
}

const PROPERTIES: Record<keyof typeof INKS.light, string> = {
  ink: "--rz-ink", faint: "--rz-faint", rule: "--rz-line", paper: "--rz-paper", accent: "--rz-accent",
};

/** The inks that the page's style gives an element, through --rz-ink, --rz-paper and so on. */
export function inksOf(element: Element, name: ThemeName = themeName()): Theme {
  const style = getComputedStyle(element), theme = themed(name);
  for (const [ink, property] of Object.entries(PROPERTIES)) {
    const stated = style.getPropertyValue(property).trim();
    const [, light, dark] = /^light-dark\(([^,()]+),([^,()]+)\)$/.exec(stated) ?? [];
    const colour = (name === "dark" ? dark : light)?.trim() ?? stated;
    if (/^#|^rgb|^[a-z]+$/i.test(colour)) theme[ink as keyof typeof PROPERTIES] = colour;
  }
  return theme;
}

/** The theme of the page: `data-theme` on the root, else what the reader prefers. */
export function themeName(): ThemeName {
  if (typeof document === "undefined") return "light";
  const asked = document.documentElement.dataset.theme;
  if (asked === "light" || asked === "dark") return asked;
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

const watchers = new Set<() => void>();
let watching = false;

/** Call `redraw` whenever the theme changes; returns how to stop. */
export function onTheme(redraw: () => void): () => void {
  watchers.add(redraw);
  if (!watching) watch();
  return () => void watchers.delete(redraw);
}

/** Tell everybody now; the observer would do so a moment later. */
export function themeChanged(): void {
  const name = themeName();
  if (name === last) return;
  last = name;
  watchers.forEach((redraw) => redraw());
}

let last: ThemeName = "light";

function watch(): void {
  watching = true;
  last = themeName();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", themeChanged);
  new MutationObserver(themeChanged).observe(document.documentElement, { attributeFilter: ["data-theme"] });
}
