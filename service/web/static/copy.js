// Blocks of code get a button that copies them. Without this script they are text that one can select.
"use strict";
{
  const SHOWN_MS = 2500;
  const spoken = document.createElement("p");
  spoken.className = "hidden";
  spoken.setAttribute("role", "status");

  // Browsers give a clipboard to pages that come by HTTPS or from this machine. For others there is only the old way.
  const byCommand = (text) => {
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "hidden";
    const focused = document.activeElement;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    focused?.focus();
    if (!done) throw new Error("not copied");
  };

  const copy = async (block, button) => {
    let said = "Copied";
    try {
      if (navigator.clipboard) await navigator.clipboard.writeText(block.textContent);
      else byCommand(block.textContent);
    } catch {
      getSelection().selectAllChildren(block);
      said = "Press Ctrl+C";
    }
    button.textContent = spoken.textContent = said;
    setTimeout(() => {
      button.textContent = "Copy";
      spoken.textContent = "";
    }, SHOWN_MS);
  };

  for (const block of document.querySelectorAll("pre > code")) {
    const pre = block.parentElement;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    button.setAttribute("aria-label", `Copy: ${pre.getAttribute("aria-label") || "code"}`);
    button.addEventListener("click", () => copy(block, button));
    const both = document.createElement("div");
    both.className = "copies";
    pre.before(both);
    both.append(pre, button);
  }
  document.body.append(spoken);
}
