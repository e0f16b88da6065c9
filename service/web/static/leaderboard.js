// Ticks of one board make a comparison; without this script the server says what it takes.
"use strict";
const MOST = 50;  // evaluations of a comparison
const table = document.querySelector("[data-pick]");
const button = document.querySelector("[data-compare]");
if (table && button) {
  const boxes = [...table.querySelectorAll("input[type=checkbox]")];
  const update = () => {
    const ticked = boxes.filter((box) => box.checked);
    const fits = (box) => ticked.length < MOST && (!ticked.length || ticked[0].dataset.board === box.dataset.board);
    button.disabled = ticked.length < 2;
    for (const box of boxes) box.disabled = !box.checked && !fits(box);
  };
  table.addEventListener("change", update);
  window.addEventListener("pageshow", update);  // a browser that goes back keeps the ticks
  update();
}
