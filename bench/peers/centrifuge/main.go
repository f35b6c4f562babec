// A small server on the centrifuge library: one channel, whoever is connected may publish.
// It prints one line, "serves PORT VERSION", when it listens.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/centrifugal/centrifuge"
)

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, dep := range info.Deps {
		if dep.Path == "github.com/centrifugal/centrifuge" {
			return dep.Version + " " + info.GoVersion
		}
	}
	return "unknown"
}

func main() {
	delay := flag.Duration("delay", 0, "collect messages of a connection for this long (WriteDelay)")
	flag.Parse()
	node, err := centrifuge.New(centrifuge.Config{
		LogLevel:           centrifuge.LogLevelError,
		ClientQueueMaxSize: 16 << 20, // a burst is measured, not cut off
	})
	if err != nil {
		log.Fatal(err)
	}
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		reply := centrifuge.ConnectReply{
			Credentials: &centrifuge.Credentials{UserID: ""},
		}
		if *delay > 0 {
			reply.WriteDelay = *delay
			reply.WriteWithTimer = true
			reply.MaxMessagesInFrame = -1
		}
		return reply, nil
	})
	node.OnConnect(func(client *centrifuge.Client) {
		client.OnSubscribe(func(_ centrifuge.SubscribeEvent, done centrifuge.SubscribeCallback) {
			done(centrifuge.SubscribeReply{}, nil)
		})
		client.OnPublish(func(_ centrifuge.PublishEvent, done centrifuge.PublishCallback) {
			done(centrifuge.PublishReply{}, nil) // the node publishes it to the channel
		})
	})
	if err := node.Run(); err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("/connection/websocket", centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{
		UseWriteBufferPool: true, // as its documentation advises for many connections
		WriteTimeout:       30 * time.Second,
		CheckOrigin:        func(*http.Request) bool { return true },
		PingPongConfig:     centrifuge.PingPongConfig{PingInterval: 10 * time.Minute, PongTimeout: time.Minute},
	}))
	fmt.Println("serves", listener.Addr().(*net.TCPAddr).Port, version())
	log.Fatal(http.Serve(listener, nil))
}
