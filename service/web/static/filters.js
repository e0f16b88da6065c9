// A form with data-applies takes effect as soon as something in it changes. Its part that has the focus stays in the
// page, so the focus stays, too. Without this script, the form's button sends it.
"use strict";
{
  const WAIT_MS = 350;  // after the last letter
  const status = document.createElement("p");
  let request = new AbortController();
  let timer;

  const wanted = (form) => `${form.getAttribute("action")}?${new URLSearchParams(new FormData(form))}`;

  // Replace all children of a parent but one, which stays where the fresh page has its twin.
  const replaceAround = (parent, fresh, kept, twin) => {
    for (const child of [...parent.childNodes]) if (child !== kept) child.remove();
    const nodes = [...fresh.childNodes];
    const place = twin ? nodes.indexOf(twin) : nodes.length;
    kept.before(...nodes.slice(0, place));
    kept.after(...nodes.slice(place + 1));
  };

  const key = (part) => `${part.tagName} ${part.querySelector("summary")?.textContent ?? part.querySelector("[name]")?.name}`;

  const refill = (form, fresh) => {
    const open = new Set([...form.querySelectorAll("details[open]")].map(key));
    for (const one of fresh.querySelectorAll("details")) one.open ||= open.has(key(one));
    const kept = [...form.children].find((part) => part.contains(document.activeElement));
    if (!kept) {
      form.replaceChildren(...fresh.childNodes);
      return;
    }
    const twin = [...fresh.children].find((part) => key(part) === key(kept));
    for (const box of twin?.querySelectorAll("input[type=checkbox]") ?? []) {
      const mine = [...kept.querySelectorAll("input[type=checkbox]")].find((one) => one.name === box.name && one.value === box.value);
      if (mine) mine.checked = box.checked;
    }
    replaceAround(form, fresh, kept, twin);
  };

  const show = (page, form, fresh) => {
    const main = document.getElementById("main");
    const ticked = new Set([...main.querySelectorAll("input[name=evaluation]:checked")].map((box) => box.value));
    const beside = page.getElementById("main");
    refill(form, fresh);
    replaceAround(main, beside, form, fresh);
    for (const box of main.querySelectorAll("input[name=evaluation]")) box.checked = ticked.has(box.value);
    document.title = page.title;
    for (const field of document.querySelectorAll(".top [name=next]")) field.value = location.pathname + location.search;
    status.textContent = main.querySelector("[data-count]")?.textContent ?? "";
    document.dispatchEvent(new Event("applied"));
  };

  const apply = async (form, typed) => {
    clearTimeout(timer);
    request.abort();
    const address = wanted(form);
    if (address === location.pathname + location.search) return;
    const mine = request = new AbortController();
    let answer, text;
    try {
      answer = await fetch(address, { headers: { Accept: "text/html" }, signal: mine.signal });
      text = await answer.text();
    } catch (error) {
      if (error.name !== "AbortError") location.assign(address);
      return;
    }
    const page = new DOMParser().parseFromString(text, "text/html");
    const fresh = page.querySelector("form[data-applies]");
    if (mine.signal.aborted) return;
    if (!answer.ok || !fresh || fresh.parentElement.id !== "main") {
      location.assign(address);
      return;
    }
    history.replaceState({ applied: true }, "");
    history[typed ? "replaceState" : "pushState"]({ applied: true }, "", address);
    show(page, form, fresh);
  };

  const formOf = (event) => event.target.closest?.("form[data-applies]");
  const isText = (field) => ["text", "search"].includes(field.type);

  document.addEventListener("input", (event) => {
    const form = formOf(event);
    if (!form || !event.target.name || !isText(event.target)) return;
    request.abort();
    clearTimeout(timer);
    timer = setTimeout(() => apply(form, true), WAIT_MS);
  });
  document.addEventListener("change", (event) => {
    if (formOf(event) && event.target.name) apply(formOf(event), isText(event.target));
  });
  document.addEventListener("submit", (event) => {
    if (!formOf(event)) return;
    event.preventDefault();
    apply(formOf(event), false);
  });
  window.addEventListener("popstate", (event) => {
    if (event.state?.applied) location.reload();
  });

  status.className = "hidden";
  status.setAttribute("role", "status");
  document.body.append(status);
  document.documentElement.classList.add("applies");
}
