// Rings the video under the pointer, or of the focused line, on every map, and shows its words and its strip.
"use strict";
const NEAR = 40;  // units of the picture, of 1120: how far a pointer may be from a point
const REST_MS = 250;  // a pointer that rests as long asks for the strip
const SIDE = 10000, SIZE = 1120, MARGIN = 30;  // as scatter.py has them
const figures = [...document.querySelectorAll("[data-map]")];
const card = document.getElementById("chosen");
const address = document.querySelector("[data-video]").dataset.video;
const at = (position) => MARGIN + (SIZE - 2 * MARGIN) * position / SIDE;
let maps = null, shown = null, timer = 0;

// Positions and answers of 20,000 videos are two megabytes. So they are loaded when they are first needed.
function load() {
  maps ??= Promise.all(figures.map((figure) => fetch(figure.dataset.map).then((answer) => answer.json()).then((found) => found.map)))
    .catch(() => { maps = null; return []; });
  return maps;
}

function ring(found, number) {
  figures.forEach((figure, place) => {
    const circle = figure.querySelector(".ring");
    circle.setAttribute("cx", at(found[place].x[number]));
    circle.setAttribute("cy", at(found[place].y[number]));
    circle.removeAttribute("visibility");
  });
}

function line(...words) {
  const paragraph = document.createElement("p");
  paragraph.append(...words);
  return paragraph;
}

function strong(text) {
  const bold = document.createElement("b");
  bold.textContent = text;
  return bold;
}

async function strip(video) {
  const answer = await fetch(`${address}&${new URLSearchParams({ video })}`).catch(() => null);
  if (!answer?.ok || shown !== video) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (shown !== video) return;
  card.replaceChildren(...page.body.childNodes);
  card.querySelectorAll(".preview-box").forEach(preparePreview);
}

function show(found, number) {
  const own = found.at(-1), video = own.videos[number];
  if (video === shown) return;
  shown = video;
  ring(found, number);
  const answer = own.answers[number];
  const said = answer === null ? ["; no answer."] : [", answered ", strong(own.classes[answer]), own.right[number] ? " (right)." : " (wrong)."];
  card.replaceChildren(line(strong(video)), line("Is ", strong(own.classes[own.labels[number]]), ...said));
  clearTimeout(timer);
  timer = setTimeout(() => strip(video), REST_MS);
}

function nearest(map, x, y) {
  let best = -1, least = NEAR * NEAR;
  for (let number = 0; number < map.x.length; number++) {
    const across = at(map.x[number]) - x, down = at(map.y[number]) - y, far = across * across + down * down;
    if (far < least) [best, least] = [number, far];
  }
  return best;
}

figures.forEach((figure, place) => {
  const plot = figure.querySelector(".plot");
  // The browser would show them over the card.
  plot.querySelectorAll("title").forEach((title) => title.remove());
  plot.addEventListener("pointermove", async (event) => {
    const box = plot.getBoundingClientRect(), scale = SIZE / box.width;
    const found = await load();
    if (!found[place]) return;
    const number = nearest(found[place], (event.clientX - box.left) * scale, (event.clientY - box.top) * scale);
    if (number >= 0) show(found, number);
  });
});

for (const item of document.querySelectorAll(".map-list [data-id]")) {
  for (const kind of ["focusin", "pointerenter"]) {
    item.addEventListener(kind, async () => {
      const found = await load();
      const number = found.at(-1)?.videos.indexOf(item.dataset.id) ?? -1;
      if (number >= 0) ring(found, number);
    });
  }
}
