// A web page of your own that shows a user's entries by EventSource.
// [start]
async function listen(url, getToken, show, cursor = "") {
  const again = () => setTimeout(listen, 1000 + 2000 * Math.random(), url, getToken, show, cursor);
  try {
    const answer = await fetch(`${url}/v1/events/ticket`, {
      method: "POST",
      headers: { Authorization: `Bearer ${await getToken()}` },
    });
    if (!answer.ok) throw new Error(`no ticket: ${answer.status}`);
    const { ticket } = await answer.json();
    const query = new URLSearchParams(cursor ? { ticket, cursor } : { ticket });
    const source = new EventSource(`${url}/v1/events?${query}`);
    source.onmessage = (event) => {
      cursor = event.lastEventId;
      show(JSON.parse(event.data)); // {log, entry}
    };
    source.addEventListener("cursor", (event) => {
      cursor = event.lastEventId; // nothing for the user, but the place to go on from
    });
    source.onerror = () => {
      source.close(); // a ticket is good once: come back with a new one
      again();
    };
  } catch {
    again(); // the network, or the server, is away
  }
}
// [end]
export { listen };
