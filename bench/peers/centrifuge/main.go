// A broadcast by the Centrifuge library, one channel, in memory, JSON protocol, subscribed by the server at connecting.
// Usage: centrifuge PORT CONTROL [WRITE_DELAY_MS]; each line that comes to CONTROL is published.
package main

import (
	"bufio"
	"context"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/centrifugal/centrifuge"
)

const channel = "bench"

func main() {
	node, err := centrifuge.New(centrifuge.Config{LogLevel: centrifuge.LogLevelError})
	if err != nil {
		log.Fatal(err)
	}
	delay := 0
	if len(os.Args) > 3 {
		delay, _ = strconv.Atoi(os.Args[3])
	}
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		reply := centrifuge.ConnectReply{
			Credentials:   &centrifuge.Credentials{UserID: "reader"},
			Subscriptions: map[string]centrifuge.SubscribeOptions{channel: {}},
		}
		if delay > 0 {
			reply.WriteDelay = time.Duration(delay) * time.Millisecond
			reply.MaxMessagesInFrame = -1
		}
		return reply, nil
	})
	if err := node.Run(); err != nil {
		log.Fatal(err)
	}
	control, err := net.Listen("tcp", "127.0.0.1:"+os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for {
			connection, err := control.Accept()
			if err != nil {
				log.Fatal(err)
			}
			go publish(node, connection)
		}
	}()
	http.Handle("/ws", centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{
		CheckOrigin: func(*http.Request) bool { return true },
	}))
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}

func publish(node *centrifuge.Node, connection net.Conn) {
	defer connection.Close()
	lines := bufio.NewScanner(connection)
	for lines.Scan() {
		if _, err := node.Publish(channel, append([]byte(nil), lines.Bytes()...)); err != nil {
			log.Print(err)
			return
		}
	}
}
