// A link may bring the token after "#", which browsers never send to any server.
"use strict";
const form = document.getElementById("login");
const token = new URLSearchParams(location.hash.slice(1)).get("token");
if (form && token) {
  history.replaceState(null, "", location.pathname + location.search);
  form.elements.token.value = token;
  form.requestSubmit();
}
