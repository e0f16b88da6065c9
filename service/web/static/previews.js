// Plays the clip of a preview on hover and focus. Asks again for a strip that a worker still makes.
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

function play(box) {
  if (box.querySelector("video") || box.classList.contains("waits")) return;
  const video = document.createElement("video");
  Object.assign(video, { muted: true, loop: true, playsInline: true, src: box.dataset.clip });
  video.ariaHidden = "true";  // the picture below has the words
  video.tabIndex = -1;
  video.addEventListener("error", () => { if (video.isConnected) stop(box); });
  box.insertBefore(video, box.querySelector(".preview-play"));
  box.querySelector(".preview-play").ariaPressed = "true";
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

for (const box of document.querySelectorAll(".preview-box")) {
  const image = box.querySelector("img"), button = document.createElement("button");
  button.type = "button";
  button.className = "preview-play";
  button.ariaLabel = `Play: ${image.alt}`;
  button.ariaPressed = "false";
  box.append(button);
  button.addEventListener("click", () => (box.querySelector("video") ? stop : play)(box));
  button.addEventListener("focus", () => { if (!reduced.matches && button.matches(":focus-visible")) play(box); });
  button.addEventListener("blur", () => stop(box));
  box.addEventListener("pointerenter", (event) => { if (!reduced.matches && event.pointerType === "mouse") play(box); });
  box.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") stop(box); });
  image.addEventListener("error", () => ask(box, image));
  if (image.complete && image.naturalWidth === 0 && image.currentSrc) ask(box, image);
}
reduced.addEventListener("change", () => document.querySelectorAll(".preview-box").forEach(stop));
