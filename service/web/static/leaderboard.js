// Ticked rows of one board make a comparison. A sentence beside the button says which; a box that is off says why.
// Without this script the server says what a comparison takes.
"use strict";
{
  const MOST = 50;  // evaluations of a comparison
  const OTHER = "This row is on another board. Only results of one board can be compared.";
  const FULL = `${MOST} rows are ticked, and a comparison takes no more.`;

  const sentence = (number, others) => {
    const count = `${number} ticked.`;
    const off = others ? " Boxes of other boards are off, because only results of one board can be compared." : "";
    if (!number) return `Tick two to ${MOST} rows.`;
    if (number === 1) return `${count} Tick one more to compare.${off}`;
    if (number === 2) return `${count} The button shows how the two differ, in pairs of answers.${off}`;
    return `${count} The button compares each with the first of them, and all pairs.${number >= MOST ? " These are as many as it takes." : ""}${off}`;
  };

  const explain = (box, reason) => {
    box.disabled = Boolean(reason);
    for (const element of [box, box.parentElement]) {
      if (reason) element.title = reason;
      else element.removeAttribute("title");
    }
  };

  const told = (button) => {
    const there = document.getElementById("ticked");
    if (there) return there;
    const made = document.createElement("span");
    made.id = "ticked";
    made.className = "muted";
    made.setAttribute("role", "status");
    button.after(" ", made);
    return made;
  };

  const update = () => {
    const table = document.querySelector("[data-pick]");
    const button = document.querySelector("[data-compare]");
    if (!table || !button) return;
    const boxes = [...table.querySelectorAll("input[type=checkbox]")];
    const ticked = boxes.filter((box) => box.checked);
    const elsewhere = (box) => ticked.length > 0 && ticked[0].dataset.board !== box.dataset.board;
    for (const box of boxes) explain(box, box.checked ? "" : elsewhere(box) ? OTHER : ticked.length >= MOST ? FULL : "");
    button.disabled = ticked.length < 2;
    const says = told(button);
    button.setAttribute("aria-describedby", says.id);
    const text = sentence(ticked.length, boxes.some(elsewhere));
    if (says.textContent !== text) says.textContent = text;
  };

  document.addEventListener("change", (event) => {
    if (event.target.closest("[data-pick]")) update();
  });
  document.addEventListener("applied", update);  // filters.js has changed the rows
  window.addEventListener("pageshow", update);  // a browser that goes back keeps the ticks
  update();
}
