// Upload a checkpoint by the browser: hash it in a worker, declare it, send it in parts that can be resumed, and
// follow it. The server counts the bytes that it has, so a reload, another tab or a restart of the server lose none.
"use strict";
const PART_BYTES = 64 * 1024 * 1024; // as the client's: below the limits that proxies usually have on one request
const FIRST_PAUSE_MS = 500, LONGEST_PAUSE_MS = 15000, LOOK_MS = 2000;
const KEPT = "vcpbench.upload."; // what this browser remembers of an upload that is under way; no secret
const box = document.getElementById("upload"), form = box.querySelector("form");
const show = (name) => box.querySelector(`[data-${name}]`);
const bar = show("bar"), stopButton = show("stop"), sendButton = form.querySelector("button[type=submit]");
const FACTS = ["backbone", "run", "step", "pretrained_on", "prefix", "variant", "input_spec"];
const REFUSED = [  // by the first bytes; the server decides about everything else
  [/^\x1f\x8b|^BZh|^\xfd7zXZ/, "It is compressed. Unpack it first."],
  [/^\x89HDF/, "It is an HDF5 file (Keras, TensorFlow or MATLAB). Convert it to PyTorch first."],
  [/^\s*<(!doctype|html|\?xml|head)/i, "It is a web page: the download gave a page instead of the file."],
  [/^version https:\/\/git-lfs/, "It is a Git LFS pointer, not the file itself. Run git lfs pull."],
];
let hasher = new Worker(box.dataset.hasher); // loaded now, because the network may be gone when it is needed
let chosen = null, running = null; // the file; what can be stopped: {stopped, request, reject}

class Problem extends Error {
  constructor(status, problem) {
    super(problem.detail || `The server answered ${status}.`);
    Object.assign(this, { status, problem });
  }
  get passes() { return [0, 408, 429, 502, 503, 504].includes(this.status) || "received_bytes" in this.problem; }
}
class Stopped extends Error {}

const size = (bytes) => bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
const pause = (ms) => new Promise((done) => {
  const end = () => { clearTimeout(timer); removeEventListener("online", end); done(); };
  const timer = setTimeout(end, ms);
  addEventListener("online", end);
});
const here = (work) => { if (work.stopped) throw new Stopped(); };
const say = (text, bad = false) => { const line = show("said"); line.textContent = text; line.classList.toggle("bad", bad); };

function step(name) { // choose, hash, send, read, evaluate
  for (const one of box.querySelectorAll("[data-step]")) {
    if (one.dataset.step === name) one.setAttribute("aria-current", "step"); else one.removeAttribute("aria-current");
  }
}

function progress(done, all, began) {
  bar.hidden = false;
  bar.value = all ? done / all : 0;
  const seconds = began ? (performance.now() - began.at) / 1000 : 0, pace = seconds > 1 ? (done - began.done) / seconds : 0;
  const left = pace > 0 ? (all - done) / pace : null;
  show("numbers").textContent = `${size(done)} of ${size(all)}, ${Math.floor((100 * done) / (all || 1))} %` +
    (left === null ? "" : `, ${size(pace)}/s, about ${left < 90 ? `${Math.ceil(left)} s` : `${Math.ceil(left / 60)} min`} to go`);
}

function request(method, path, body, headers = {}, work = null, told = null) {
  return new Promise((resolve, reject) => {
    const sent = new XMLHttpRequest(); // fetch tells nothing about how far a body is sent
    sent.open(method, path);
    for (const [name, value] of Object.entries({ "VCPBench-Page": "submit", Accept: "application/json", ...headers })) sent.setRequestHeader(name, value);
    if (told) sent.upload.onprogress = (event) => told(event.loaded);
    sent.onload = () => {
      let answer = {};
      try { answer = JSON.parse(sent.responseText); } catch { /* a proxy's page; the status says enough */ }
      if (sent.status >= 200 && sent.status < 300) resolve(answer); else reject(new Problem(sent.status, answer));
    };
    sent.onerror = () => reject(new Problem(0, { detail: "The connection to the server broke." }));
    sent.onabort = () => reject(new Stopped());
    if (work) work.request = sent;
    sent.send(body);
  });
}
const json = (method, path, body) => request(method, path, JSON.stringify(body), { "Content-Type": "application/json" });

async function patiently(work, attempt) { // until it succeeds, or fails for good
  for (let wait = FIRST_PAUSE_MS; ; wait = Math.min(2 * wait, LONGEST_PAUSE_MS)) {
    here(work);
    try { return await attempt(); } catch (error) {
      if (!(error instanceof Problem) || !error.passes) throw error;
      say(`${error.message} Trying again. What has arrived is kept.`);
      await pause(wait * (0.5 + Math.random() / 2));
    }
  }
}

function hash(file, work) {
  return new Promise((resolve, reject) => {
    const worker = hasher;
    const end = (then, value) => { // a worker hashes one file
      worker.terminate();
      hasher = new Worker(box.dataset.hasher);
      work.reject = null;
      then(value);
    };
    work.reject = () => end(reject, new Stopped());
    const began = { at: performance.now(), done: 0 };
    worker.onerror = () => end(reject, new Error("This browser cannot compute the file’s hash. Use the client (below)."));
    worker.onmessage = ({ data }) => {
      if (data.error) end(reject, new Error(`The file cannot be read (${data.error}). Is it a folder, or has it changed? Choose it again.`));
      else if (data.sha256) end(resolve, data.sha256);
      else progress(data.done, file.size, began);
    };
    worker.postMessage(file);
  });
}

async function refuse(file) {
  let head;
  try { head = new Uint8Array(await file.slice(0, 512).arrayBuffer()); } catch {
    throw new Error("The file cannot be read. A folder has to be packed first, or sent by the client (below).");
  }
  if (!head.length) throw new Error("The file is empty. Was it saved, or downloaded, to its end?");
  if (file.size > Number(box.dataset.most)) throw new Error(`The file has ${size(file.size)}, and this server takes at most ${size(Number(box.dataset.most))}.`);
  const text = String.fromCharCode(...head);
  for (const [begins, why] of REFUSED) if (begins.test(text)) throw new Error(`This is no checkpoint. ${why}`);
}

const entries = () => Object.keys(localStorage).filter((key) => key.startsWith(KEPT)).map((key) => JSON.parse(localStorage.getItem(key)));
const keep = (entry) => localStorage.setItem(KEPT + entry.id, JSON.stringify(entry));
const forget = (id) => localStorage.removeItem(KEPT + id);
const same = (entry, file) => entry.name === file.name && entry.size === file.size && entry.modified === file.lastModified;

async function send(file, checkpoint, work) {
  const began = { at: performance.now(), done: checkpoint.received_bytes };
  progress(began.done, file.size);
  const look = () => patiently(work, () => request("GET", `/v1/checkpoints/${checkpoint.id}`, null));
  return patiently(work, async () => {
    while (checkpoint.state === "declared") {
      here(work);
      const begin = checkpoint.received_bytes, end = Math.min(begin + PART_BYTES, file.size);
      const headers = { "Content-Type": "application/octet-stream" };
      if (end > begin) headers["Content-Range"] = `bytes ${begin}-${end - 1}/${file.size}`;
      try {
        checkpoint = await request("PUT", `/submit/checkpoints/${checkpoint.id}/content`, file.slice(begin, end), headers, work,
          (done) => progress(begin + done, file.size, began));
        say("");
      } catch (error) {
        if (!(error instanceof Problem) || !error.passes) throw error;
        await file.slice(begin, begin + 1).arrayBuffer().catch(() => { throw new Error("The file changed while it was sent. Choose it again."); });
        const before = checkpoint.received_bytes;
        checkpoint = await look();
        if (checkpoint.received_bytes === before) throw error; // then wait before the next attempt
      }
    }
    return checkpoint;
  });
}

async function whileAlone(name, work, action) { // two tabs would send the same bytes, and one of them in vain
  if (!navigator.locks) return action(); // plain http: the server keeps one of two parts, and both tabs end well
  return navigator.locks.request(name, { ifAvailable: true }, async (lock) => {
    if (lock) return action();
    say("Another tab of this browser sends this file. This tab follows it.");
    const waiting = new AbortController();
    work.reject = () => waiting.abort(new Stopped());
    return navigator.locks.request(name, { signal: waiting.signal }, () => { here(work); say(""); return action(); });
  });
}

async function follow(checkpoint, evaluation, work) {
  const links = show("links");
  links.replaceChildren();
  const link = document.createElement("a");
  link.href = `/evaluations/${evaluation.id}`;
  link.textContent = "Page of the evaluation";
  links.append(link);
  bar.hidden = true;
  show("numbers").textContent = "";
  while (evaluation.state !== "done") {
    here(work);
    if (evaluation.state === "failed" || evaluation.state === "cancelled") {
      const now = await request("GET", `/v1/checkpoints/${checkpoint.id}`, null);
      forget(checkpoint.id);
      if (now.state === "rejected") throw new Error(`The file was refused: ${now.reason} Mend the file, or say more under “More about the file”, and send it again.`);
      throw new Error(`The evaluation ${evaluation.state === "failed" ? "failed" : "was cancelled"}: ${evaluation.reason || "without a reason."}`);
    }
    const how = evaluation.progress || {};
    const reading = (await patiently(work, () => request("GET", `/v1/checkpoints/${checkpoint.id}`, null))).state === "ingesting";
    step(reading ? "read" : "evaluate");
    if (!reading) { bar.hidden = false; bar.value = how.fraction || 0; }
    show("numbers").textContent = reading ? "" : `${Math.floor(100 * (how.fraction || 0))} %${how.stage ? `, ${how.stage}` : ""}`;
    say(reading ? "The server has all bytes. A worker reads the file now." : evaluation.waiting_for ? `${evaluation.waiting_for[0].toUpperCase()}${evaluation.waiting_for.slice(1)}.` : "You may close this page: the evaluation goes on.");
    await pause(LOOK_MS);
    evaluation = await patiently(work, () => request("GET", `/v1/evaluations/${evaluation.id}`, null));
  }
  forget(checkpoint.id);
  step("done");
  bar.value = 1;
  show("numbers").textContent = "100 %";
  link.textContent = "See the result";
  say("The evaluation is done.");
}

async function upload(file, work) {
  step("hash");
  await refuse(file);
  const fields = Object.fromEntries([...new FormData(form)].filter(([, value]) => typeof value === "string" && value.trim()));
  const known = entries().find((entry) => same(entry, file) && entry.model === fields.model);
  const sha256 = known ? known.sha256 : await hash(file, work);
  show("hash").textContent = `SHA-256 ${sha256}`;
  const declaration = { model: fields.model, size_bytes: file.size, sha256 };
  for (const name of FACTS) if (fields[name]) declaration[name] = name === "step" ? Number(fields[name]) : fields[name].trim();
  if (fields.private) declaration.private = true;
  let checkpoint = await patiently(work, () => json("POST", "/submit/checkpoints", declaration));
  const entry = { id: checkpoint.id, name: file.name, size: file.size, modified: file.lastModified, sha256, fields };
  keep({ ...entry, model: fields.model });
  step("send");
  if (checkpoint.state === "declared") checkpoint = await whileAlone(KEPT + checkpoint.id, work, async () => send(file, await patiently(work, () => request("GET", `/v1/checkpoints/${checkpoint.id}`, null)), work));
  if (checkpoint.state === "rejected") {
    forget(checkpoint.id);
    throw new Error(`This file was refused before: ${checkpoint.reason} Mend the file, or say more under “More about the file”, and send it again.`);
  }
  stopButton.hidden = true; // what follows goes on at the server
  const wanted = { checkpoint: checkpoint.id, dataset: fields.dataset, protocol: fields.protocol };
  const evaluation = await patiently(work, () => json("POST", "/submit/evaluations", wanted));
  keep({ ...entry, model: fields.model, evaluation: evaluation.id });
  await follow(checkpoint, evaluation, work);
}

async function run(action) {
  const work = running = { stopped: false };
  sendButton.disabled = true;
  stopButton.hidden = false;
  show("links").replaceChildren();
  say("");
  try { await action(work); } catch (error) {
    if (error instanceof Stopped) say("Paused. The server keeps what has arrived for a week. Press “Upload and evaluate” to go on.");
    else {
      const fileIsGone = error.status === 422 && error.problem.received_sha256;
      if (fileIsGone) for (const entry of entries().filter((one) => chosen && same(one, chosen))) forget(entry.id);
      say(error.status === 401 ? `${error.message} Then choose the same file: the upload goes on where it stopped.` : error.message, true);
      if (error.status === 401) {
        const link = document.createElement("a");
        link.href = "/login?next=/submit";
        link.textContent = "Log in";
        show("links").append(link);
      }
    }
  } finally {
    running = null;
    stopButton.hidden = true;
    sendButton.disabled = !chosen;
    list();
  }
}

function choose(files) {
  if (running || !files.length) return;
  if (files.length > 1) { say("Choose one file. Shards and folders are sent by the client (below).", true); return; }
  chosen = files[0];
  show("name").textContent = `${chosen.name}, ${size(chosen.size)}`;
  show("hash").textContent = "";
  bar.hidden = true;
  show("numbers").textContent = "";
  step("choose");
  const known = entries().find((entry) => same(entry, chosen));
  if (known) {
    for (const [name, value] of Object.entries(known.fields)) if (form.elements[name]) form.elements[name].value = value;
    form.elements.private.checked = known.fields.private === "true";
    say("This file was begun before. The upload goes on where it stopped.");
  } else {
    say("");
    if (!form.elements.model.value) form.elements.model.value = chosen.name.replace(/\.[^.]*$/, "").replace(/[^\w.+-]+/g, "-").replace(/^[.-]+/, "").slice(0, 100);
  }
  sendButton.disabled = false;
}

async function list() { // what this browser began and has not ended
  const place = show("unfinished");
  place.replaceChildren();
  for (const entry of entries()) {
    let found;
    try { found = await request("GET", `/v1/checkpoints/${entry.id}`, null); } catch (error) {
      if (error.status === 404) forget(entry.id);
      continue;
    }
    if (running) return;
    if (found.state !== "declared" && !entry.evaluation) { forget(entry.id); continue; }
    const line = document.createElement("p");
    line.append(found.state === "declared"
      ? `${entry.name} (${size(entry.size)}) is at ${Math.floor((100 * found.received_bytes) / entry.size)} %. Choose the same file again to go on. `
      : `${entry.name} was sent as ${entry.model}. `);
    if (entry.evaluation) {
      const link = document.createElement("a");
      link.href = `/evaluations/${entry.evaluation}`;
      link.textContent = "Page of the evaluation";
      line.append(link, " ");
    }
    const away = document.createElement("button");
    away.type = "button";
    away.className = "plain";
    away.textContent = "Forget";
    away.onclick = () => { forget(entry.id); line.remove(); };
    line.append(away);
    place.append(line);
  }
}

const drop = show("drop"), input = form.elements.file;
for (const name of ["dragenter", "dragover"]) box.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
for (const name of ["dragleave", "drop"]) box.addEventListener(name, () => drop.classList.remove("over"));
box.addEventListener("drop", (event) => { event.preventDefault(); choose(event.dataTransfer.files); });
input.addEventListener("change", () => choose(input.files));
form.addEventListener("submit", (event) => { event.preventDefault(); if (chosen && !running) run((work) => upload(chosen, work)); });
stopButton.addEventListener("click", () => {
  if (!running) return;
  running.stopped = true;
  if (running.request) running.request.abort();
  if (running.reject) running.reject();
});
addEventListener("beforeunload", (event) => { if (running && !stopButton.hidden) event.preventDefault(); });
box.hidden = false;
list();
