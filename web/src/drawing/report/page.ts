// Buttons of a page: theme, and copying code.

import { onTheme, themeChanged, themeName } from "../theme";

/** Copy the code beside the button. */
export function enliveCopy(button: HTMLElement): void {
  button.addEventListener("click", async () => {
    const code = button.closest(".rz-code")?.querySelector("code");
    if (!code) return;
    try {
      await navigator.clipboard.writeText(code.textContent ?? "");
    } catch {
      getSelection()?.selectAllChildren(code); // no clipboard here: select it for the reader
      button.textContent = document.execCommand("copy") ? "Copied" : "Selected";
      return;
    }
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1600);
  });
}

/** Switch light and dark. */
export function enliveTheme(button: HTMLElement): void {
  const name = () => void (button.textContent = themeName() === "dark" ? "Light" : "Dark");
  onTheme(name);
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = themeName() === "dark" ? "light" : "dark";
    themeChanged();
  });
  name();
}

/** `?theme=dark` in the address. */
export function themeFromAddress(): void {
  const asked = new URLSearchParams(location.search).get("theme");
  if (asked === "dark" || asked === "light") document.documentElement.dataset.theme = asked;
}
