// Socket.IO as a room: what one says, all in the room are sent. WebSocket only, no compression, as
// its documentation advises for speed. Prints "serves PORT VERSION" when it listens.
import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { Server } from "socket.io";

const require = createRequire(import.meta.url);
const { version } = JSON.parse(readFileSync(require.resolve("socket.io/package.json"), "utf8"));
const http = createServer();
const io = new Server(http, {
  transports: ["websocket"],
  perMessageDeflate: false,
  httpCompression: false,
  serveClient: false,
  pingInterval: 600_000, // the generator answers no pings
  pingTimeout: 600_000,
});

io.on("connection", (socket) => {
  // The handshake's request is kept for ever otherwise: its documentation's advice on memory.
  socket.conn.request = null;
  socket.on("join", () => {
    socket.join("room");
    socket.emit("joined");
  });
  socket.on("say", (text) => io.to("room").emit("say", text));
});

http.listen({ host: "127.0.0.1", port: 0, backlog: 4096 }, () => {
  console.log("serves", http.address().port, `${version} Node ${process.version}`);
});
