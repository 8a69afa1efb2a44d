// Light, dark, or what the system says; told to the page by `data-theme`.

export type Theme = "system" | "light" | "dark";
const KEY = "residuum.theme";

export class ThemeChoice {
  choice = $state<Theme>("system");
  #systemDark = $state(false);

  constructor() {
    const kept = localStorage.getItem(KEY);
    if (kept === "light" || kept === "dark") this.choice = kept;
    const system = matchMedia("(prefers-color-scheme: dark)");
    this.#systemDark = system.matches;
    system.addEventListener("change", (event) => {
      this.#systemDark = event.matches;
      this.#tell();
    });
    this.#tell();
  }

  get dark(): boolean {
    return this.choice === "system" ? this.#systemDark : this.choice === "dark";
  }

  get name(): "light" | "dark" {
    return this.dark ? "dark" : "light";
  }

  /** The other of light and dark. */
  flip(): void {
    this.set(this.dark ? "light" : "dark");
  }

  set(choice: Theme): void {
    this.choice = choice;
    if (choice === "system") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, choice);
    this.#tell();
  }

  #tell(): void {
    document.documentElement.dataset.theme = this.name;
  }
}
