"use strict";
const dark = document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
document.documentElement.classList.toggle("dark-mode", dark === "dark");
SwaggerUIBundle({
  url: "/openapi.json",
  domNode: document.getElementById("reference"),
  deepLinking: true,
  tryItOutEnabled: true,
  defaultModelsExpandDepth: -1,
  syntaxHighlight: false, // its colours are hard to read on its own dark ground
});
