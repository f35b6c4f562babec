/** The page without a network: a service worker keeps the files of the app itself. */

/** Start it; where there is none (no TLS, an old browser) the page needs the network to open. */
export async function keepForOffline(): Promise<void> {
  if (!("serviceWorker" in navigator) || import.meta.env.DEV) return;
  try {
    await navigator.serviceWorker.register("/sw.js");
    const { active } = await navigator.serviceWorker.ready;
    // What was loaded before it was there, it has not seen.
    const files = performance
      .getEntriesByType("resource")
      .map((r) => r.name)
      .filter((name) => name.startsWith(`${location.origin}/assets/`));
    active?.postMessage({ keep: [`${location.origin}/`, `${location.origin}/icon.svg`, ...files] });
  } catch {
    // the page works without it
  }
}

/** Forget what belongs to the person who was here. The app's own files stay. */
export async function forgetPictures(): Promise<void> {
  if ("caches" in globalThis) await caches.delete("hongyan-files");
}
