// Node's `ws` against the echo server: a client that nobody here wrote. One line per check.
import { WebSocket } from "ws"

const url = process.argv[2]
const open = (path = "/", options = {}) =>
  new Promise((resolve, reject) => {
    const ws = new WebSocket(url + path, options)
    ws.once("open", () => resolve(ws))
    ws.once("error", reject)
  })
const next = (ws) => new Promise((resolve) => ws.once("message", (data, binary) => resolve([data, binary])))
const closed = (ws) =>
  new Promise((resolve) => ws.once("close", (code, reason) => resolve([code, reason.toString()])))
const say = (name, ok) => {
  if (!ok) process.exitCode = 1
  console.log(`${ok ? "ok" : "FAILED"} ${name}`)
}

for (const size of [0, 1, 125, 126, 65535, 65536, 1 << 20, 16 << 20]) {
  const ws = await open("/getCaseCount?agent=ws")
  const data = Buffer.alloc(size, "鸿雁")
  ws.send(data)
  const [got, binary] = await next(ws)
  say(`binary of ${size}`, binary && data.equals(got))
  ws.close(1000, "done")
  say(`close after ${size}`, (await closed(ws)).join() === "1000,")
}
{
  const ws = await open()
  say("no extension", ws.extensions === "")
  ws.send("鸿", { fin: false })
  ws.ping("between")
  ws.send("雁", { fin: true })
  const pong = new Promise((resolve) => ws.once("pong", resolve))
  const [got, binary] = await next(ws)
  say("fragments", !binary && got.toString() === "鸿雁")
  say("ping between", (await pong).toString() === "between")
  ws.close(4999, "自己")
  say("own code", (await closed(ws))[0] === 4999)
}
{
  const ws = await open()
  ws.send(Buffer.from([0xc3, 0x28]), { binary: false })
  say("bad text", (await closed(ws))[0] === 1007)
}
{
  const ws = await open()
  ws.send("plain", { mask: false })
  say("no mask", (await closed(ws))[0] === 1002)
}
{
  const many = await Promise.all(Array.from({ length: 50 }, () => open("/many")))
  const answers = many.map(async (ws, n) => {
    ws.send(`number ${n}`)
    return (await next(ws))[0].toString() === `number ${n}`
  })
  say("fifty at once", (await Promise.all(answers)).every(Boolean))
  many.forEach((ws) => ws.close())
  await Promise.all(many.map(closed))
}
