"use strict";

const TOKEN = "/api/v1/auth/token";
const EARLY_MS = 30000;

/** The tokens of who is logged in. They are nowhere but here, and end with the page. */
let session = null;
let refreshing = null;

async function tokens(form) {
  const answer = await fetch(TOKEN, { method: "POST", body: new URLSearchParams(form) });
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.detail);
  return { ...told, until: Date.now() + told.expires_in * 1000 };
}

/** The access token; a new one when the last is nearly over. Requests that come together share one refresh. */
async function accessToken() {
  if (session.until - Date.now() < EARLY_MS) {
    refreshing ??= tokens({ grant_type: "refresh_token", refresh_token: session.refresh_token }).finally(() => {
      refreshing = null;
    });
    try {
      session = await refreshing;
    } catch (problem) {
      ended(problem.message);
      return null;
    }
  }
  return session.access_token;
}

async function withToken(request) {
  const path = new URL(request.url, location.href).pathname;
  if (session !== null && path.startsWith("/api/") && path !== TOKEN) {
    const token = await accessToken();
    if (token !== null) request.headers.Authorization = `Bearer ${token}`;
  }
  return request;
}

const login = document.getElementById("login");
const shown = document.getElementById("session");
const refusal = document.getElementById("refusal");

function ended(why) {
  session = null;
  login.hidden = false;
  shown.hidden = true;
  refusal.textContent = why;
}

login.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = new FormData(login);
  try {
    session = await tokens({ grant_type: "password", username: form.get("username"), password: form.get("password") });
  } catch (problem) {
    ended(problem.message);
    return;
  }
  login.elements.password.value = "";
  login.hidden = true;
  shown.hidden = false;
  shown.firstElementChild.textContent = `Logged in as ${form.get("username")}.`;
  refusal.textContent = "";
});

shown.lastElementChild.addEventListener("click", async () => {
  const token = session?.refresh_token;
  ended("");
  if (token) await fetch("/api/v1/auth/revoke", { method: "POST", body: new URLSearchParams({ token }) });
});

/** The part of the document with the operations of some tags, and with the components that they need. */
function partOf(whole, tags) {
  const paths = {};
  for (const [path, item] of Object.entries(whole.paths)) {
    if (Object.values(item).some((one) => one.tags?.some((tag) => tags.includes(tag)))) paths[path] = item;
  }
  const components = { securitySchemes: whole.components.securitySchemes };
  const waiting = [paths];
  while (waiting.length > 0) {
    const node = waiting.pop();
    if (node === null || typeof node !== "object") continue;
    if (typeof node.$ref === "string" && node.$ref.startsWith("#/components/")) {
      const [kind, name] = node.$ref.slice("#/components/".length).split("/");
      components[kind] ??= {};
      if (!(name in components[kind])) {
        components[kind][name] = whole.components[kind][name];
        waiting.push(components[kind][name]);
      }
    }
    waiting.push(...Object.values(node));
  }
  return { ...whole, tags: whole.tags.filter((tag) => tags.includes(tag.name)), paths, components };
}

function show(whole, area) {
  for (const button of document.getElementById("areas").children) {
    button.setAttribute("aria-current", String(button.textContent === area.name));
  }
  SwaggerUIBundle({
    spec: partOf(whole, area.tags),
    dom_id: "#api",
    deepLinking: true,
    docExpansion: "none",
    defaultModelsExpandDepth: -1,
    validatorUrl: null,
    requestInterceptor: withToken,
    presets: [SwaggerUIBundle.presets.apis],
  });
}

async function start() {
  const whole = await (await fetch("/docs/openapi.json")).json();
  const areas = whole["x-tagGroups"];
  for (const area of areas) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = area.name;
    button.addEventListener("click", () => {
      history.replaceState(null, "", "#");
      show(whole, area);
    });
    document.getElementById("areas").append(button);
  }
  const tag = decodeURIComponent(location.hash.split("/")[1] ?? "").replaceAll("_", " ");
  show(whole, areas.find((area) => area.tags.includes(tag)) ?? areas[0]);
}

start();
