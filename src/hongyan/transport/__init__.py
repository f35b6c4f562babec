"""The rim: sockets, HTTP, WebSocket. One port serves all."""
