// Plays the clip of a preview: while a pointer or the focus is on it, or from one click to the next.
// Asks again for a strip that a worker still makes.
"use strict";
const MOST_S = 900, LONGEST_S = 20;  // how long a strip is asked for, and the longest pause in between
const reduced = matchMedia("(prefers-reduced-motion: reduce)");
const seconds = (number) => new Promise((done) => setTimeout(done, 1000 * number));

function stop(box) {
  const video = box.querySelector("video");
  if (video) {
    video.pause();
    video.removeAttribute("src");  // ends the download, too
    video.load();
    video.remove();
  }
  box.querySelector(".preview-play").ariaPressed = "false";
}

// `held`: the next click stops the clip. A clip that plays under the pointer is not held: who clicks there wants it to
// play on.
function play(box, held) {
  if (box.classList.contains("waits")) return;
  box.querySelector(".preview-play").ariaPressed = String(held);
  if (box.querySelector("video")) return;
  document.querySelectorAll(".preview-box:has(video)").forEach(stop);  // one at a time
  const video = document.createElement("video");
  Object.assign(video, { muted: true, loop: true, playsInline: true, src: box.dataset.clip });
  video.ariaHidden = "true";  // the picture below has the words
  video.tabIndex = -1;
  video.addEventListener("error", () => { if (video.isConnected) stop(box); });
  box.insertBefore(video, box.querySelector(".preview-play"));
  video.play().catch(() => {});  // it was stopped before it began
}

function note(box, words) {
  box.querySelector(".preview-note")?.remove();
  box.classList.toggle("waits", words !== "");
  if (words === "") return;
  const line = document.createElement("div");
  line.className = "preview-note";
  line.textContent = words;
  box.append(line);
}

async function problem(answer) {
  try { return (await answer.json()).detail; } catch { return "The preview could not be loaded. Load the page again."; }
}

async function ask(box, image) {
  if (box.classList.contains("waits")) return;
  const address = image.getAttribute("src");
  note(box, "The preview is loading.");
  let pause = 0;
  for (const until = Date.now() + 1000 * MOST_S; Date.now() < until;) {
    const answer = await fetch(address).catch(() => null);
    if (answer?.status === 200) {
      await answer.blob();  // the browser keeps it, so the picture is loaded once
      image.addEventListener("load", () => note(box, ""), { once: true });
      image.loading = "eager";
      image.src = address;
      return;
    }
    const wait = answer ? Number(answer.headers.get("Retry-After")) : 5;
    if (!(wait > 0)) return note(box, await problem(answer));
    note(box, answer?.status === 202 ? "A worker makes this preview." : "The preview cannot be loaded just now. The page asks again.");
    pause = Math.min(Math.max(wait, 1.5 * pause), Math.max(wait, LONGEST_S));
    await seconds(pause);
  }
  note(box, "The preview is not made yet. Load the page again later.");
}

// Also called by map.js, for a preview that comes later.
function preparePreview(box) {
  const image = box.querySelector("img"), button = document.createElement("button");
  const isHeld = () => button.ariaPressed === "true";
  button.type = "button";
  button.className = "preview-play";
  button.ariaLabel = `Play: ${image.alt}`;
  button.ariaPressed = "false";
  box.append(button);
  button.addEventListener("click", () => { if (isHeld()) stop(box); else play(box, true); });
  button.addEventListener("focus", () => { if (!reduced.matches && button.matches(":focus-visible")) play(box, true); });
  button.addEventListener("blur", () => stop(box));
  box.addEventListener("pointerenter", (event) => {
    if (!reduced.matches && event.pointerType === "mouse" && !isHeld()) play(box, false);
  });
  box.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse" && !isHeld()) stop(box); });
  image.addEventListener("error", () => ask(box, image));
  if (image.complete && image.naturalWidth === 0 && image.currentSrc) ask(box, image);
}

document.querySelectorAll(".preview-box").forEach(preparePreview);
reduced.addEventListener("change", () => document.querySelectorAll(".preview-box").forEach(stop));
