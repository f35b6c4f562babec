// @ts-check
// Service worker of the chat app: the page opens without a network. It keeps the app's own files
// (same origin only) and small pictures by the digest in their address, and nothing of the API.

const SHELL = "hongyan-shell";
const FILES = "hongyan-files"; // emptied at every log-out
const MOST_FILES = 300; // pictures; the oldest go
const LARGEST = 600_000; // bytes
const MOST_ASSETS = 60; // of this and older versions of the app

/** @type {any} */
const worker = self;

worker.addEventListener("install", () => worker.skipWaiting());
worker.addEventListener("activate", (/** @type {any} */ e) => e.waitUntil(worker.clients.claim()));

/** Let only the newest `most` stay. @param {Cache} cache @param {number} most */
async function trim(cache, most) {
  const keys = await cache.keys();
  await Promise.all(keys.slice(0, Math.max(0, keys.length - most)).map((k) => cache.delete(k)));
}

worker.addEventListener("message", (/** @type {any} */ e) => {
  const keep = e.data && e.data.keep;
  if (!Array.isArray(keep)) return;
  e.waitUntil(
    caches.open(SHELL).then(async (cache) => {
      for (const url of keep) {
        if (new URL(url).origin === location.origin && !(await cache.match(url))) await cache.add(url);
      }
    }),
  );
});

/** The page: the newest there is. @param {Request} request */
async function page(request) {
  const cache = await caches.open(SHELL);
  try {
    const fresh = await fetch(request);
    if (fresh.ok) await cache.put("/", fresh.clone());
    return fresh;
  } catch (error) {
    const kept = await cache.match("/");
    if (kept) return kept;
    throw error;
  }
}

/** Files whose name changes with their content. @param {Request} request */
async function asset(request) {
  const cache = await caches.open(SHELL);
  const kept = await cache.match(request);
  if (kept) return kept;
  const fresh = await fetch(request);
  if (fresh.ok) {
    await cache.put(request, fresh.clone());
    await trim(cache, MOST_ASSETS);
  }
  return fresh;
}

/** A picture: its digest is its name, so the signature in the address does not matter here.
 * @param {Request} request @param {URL} url */
async function picture(request, url) {
  const cache = await caches.open(FILES);
  const name = url.origin + url.pathname;
  const kept = await cache.match(name);
  if (kept) return kept;
  const fresh = await fetch(request);
  const size = Number(fresh.headers.get("Content-Length") || LARGEST + 1);
  if (fresh.status === 200 && size <= LARGEST) {
    await cache.put(name, fresh.clone());
    await trim(cache, MOST_FILES);
  }
  return fresh;
}

worker.addEventListener("fetch", (/** @type {any} */ e) => {
  /** @type {Request} */
  const request = e.request;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== location.origin) return;
  if (request.mode === "navigate") {
    if (url.pathname === "/" || url.pathname.startsWith("/c/")) e.respondWith(page(request));
  } else if (url.pathname.startsWith("/assets/") || url.pathname === "/icon.svg") {
    e.respondWith(asset(request));
  } else if (url.pathname.startsWith("/files/") && request.destination === "image") {
    e.respondWith(picture(request, url));
  }
});
