// The columns to choose from get a search, and a button for all or none of each group.
"use strict";
{
  const boxesOf = (group) => [...group.querySelectorAll("input[type=checkbox]")];

  const label = (group) => {
    const button = group.querySelector("button");
    const all = boxesOf(group).every((box) => box.checked);
    button.textContent = all ? "none" : "all";
    button.setAttribute("aria-label", `${all ? "none" : "all"} of ${group.dataset.group}`);
  };

  const toggle = (group) => {
    const boxes = boxesOf(group);
    const tick = !boxes.every((box) => box.checked);
    for (const box of boxes) box.checked = tick;
    label(group);
    boxes[0].dispatchEvent(new Event("change", { bubbles: true }));  // filters.js applies it
  };

  const search = (picker, text) => {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    for (const group of picker.querySelectorAll("[data-group]")) {
      let found = 0;
      for (const box of boxesOf(group)) {
        const name = `${group.dataset.group} ${box.parentElement.textContent}`.toLowerCase();
        const fits = words.every((word) => name.includes(word));
        box.parentElement.hidden = !fits;
        found += fits;
      }
      group.hidden = !found;
      const folded = group.closest("details.more");
      if (folded && words.length) folded.open = folded.querySelector("[data-group]:not([hidden])") !== null;
      if (folded) folded.hidden = folded.querySelector("[data-group]:not([hidden])") === null;
    }
  };

  const enhance = () => {
    for (const picker of document.querySelectorAll(".picker:not(.ready)")) {
      picker.classList.add("ready");
      const find = document.createElement("label");
      find.className = "find";
      find.innerHTML = 'Find a column <input type="search" autocomplete="off" spellcheck="false">';
      const field = find.querySelector("input");
      field.addEventListener("input", () => search(picker, field.value));
      field.addEventListener("keydown", (event) => {
        if (event.key === "Enter") event.preventDefault();
      });
      picker.prepend(find);
      for (const group of picker.querySelectorAll("[data-group]")) {
        const button = document.createElement("button");
        button.type = "button";
        button.className = "plain";
        button.addEventListener("click", () => toggle(group));
        group.querySelector("legend").append(" ", button);
        label(group);
      }
    }
    for (const group of document.querySelectorAll(".picker.ready [data-group]")) label(group);
  };

  document.addEventListener("change", (event) => {
    const group = event.target.closest("[data-group]");
    if (group) label(group);
  });
  document.addEventListener("applied", enhance);
  enhance();
}
