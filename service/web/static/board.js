// Two ticks make a comparison; without this script the server says how many it takes.
"use strict";
const table = document.querySelector("[data-pick]");
const button = document.querySelector("[data-compare]");
if (table && button) {
  const boxes = [...table.querySelectorAll("input[type=checkbox]")];
  const update = () => {
    const ticked = boxes.filter((box) => box.checked).length;
    button.disabled = ticked !== 2;
    for (const box of boxes) box.disabled = ticked >= 2 && !box.checked;
  };
  table.addEventListener("change", update);
  window.addEventListener("pageshow", update);  // a browser that goes back keeps the ticks
  update();
}
