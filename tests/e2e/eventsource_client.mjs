// Prints each event of an EventSource as a line of JSON: the npm client, as a back end uses it.
// usage: node eventsource_client.mjs URL TOKEN
import { EventSource } from "eventsource";

const [url, token] = process.argv.slice(2);
const source = new EventSource(url, {
  fetch: (input, init) =>
    fetch(input, { ...init, headers: { ...init.headers, Authorization: `Bearer ${token}` } }),
});
const print = (thing) => process.stdout.write(`${JSON.stringify(thing)}\n`);
source.onopen = () => print({ open: true });
source.onmessage = (event) => print({ id: event.lastEventId, data: JSON.parse(event.data) });
source.onerror = (event) =>
  print({ error: event.code ?? 0, closed: source.readyState === EventSource.CLOSED });
