// Token strips of a report: the tokens are in the page already, what is told of them shows on touch.

import { hideTip, showTip } from "../tip";

/** Tell of each token where the pointer or the focus is. */
export function enliveTokens(figure: HTMLElement): void {
  for (const token of figure.querySelectorAll<HTMLElement>(".rz-token")) {
    const show = () => {
      const box = token.getBoundingClientRect();
      showTip(figure, (token.dataset.tip ?? "").split(" · "), box.left, box.bottom - 8);
    };
    token.addEventListener("pointerenter", show);
    token.addEventListener("focus", show);
    token.addEventListener("pointerleave", hideTip);
    token.addEventListener("blur", hideTip);
  }
}
