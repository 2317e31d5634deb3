// Pion's TURN server with one UDP listener: a server under test, built from Debian's packages.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/pion/turn/v2"
)

func main() {
	address := flag.String("address", "198.18.0.1", "where to listen and relay")
	port := flag.Int("port", 3478, "where to listen")
	user := flag.String("user", "alice", "the one user")
	password := flag.String("password", "secret", "and its password")
	realm := flag.String("realm", "example.org", "realm")
	flag.Parse()

	listener, err := net.ListenPacket("udp4", fmt.Sprintf("%s:%d", *address, *port))
	if err != nil {
		log.Fatal(err)
	}
	key := turn.GenerateAuthKey(*user, *realm, *password)
	server, err := turn.NewServer(turn.ServerConfig{
		Realm: *realm,
		AuthHandler: func(name, _ string, _ net.Addr) ([]byte, bool) {
			return key, name == *user
		},
		PacketConnConfigs: []turn.PacketConnConfig{{
			PacketConn: listener,
			RelayAddressGenerator: &turn.RelayAddressGeneratorPortRange{
				RelayAddress: net.ParseIP(*address),
				Address:      *address,
				MinPort:      20000,
				MaxPort:      65000,
			},
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	<-stop
	_ = server.Close()
}
