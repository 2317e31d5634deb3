// The other side of a turnpike-agent, by pion: reads and writes its one-line descriptions.
//
//	pion_agent (offer|answer) LOCAL REMOTE TURN_HOST TURN_PORT (all|relay) STAY_S
//
// Sends twenty lines, wants twenty, stays connected as long as it is told; prints the path it selected
// and the time to it. Exit status 0 if all came and the path still stood at the end.
package main

import (
	"context"
	"fmt"
	"hash/crc32"
	"log"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pion/ice/v2"
)

const lines = 20

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func describe(agent *ice.Agent, path string) {
	ufrag, pwd, err := agent.GetLocalUserCredentials()
	must(err)
	text := fmt.Sprintf("ice1 ice2 stream=0,1,%s,%s", ufrag, pwd)
	all, err := agent.GetLocalCandidates()
	must(err)
	for _, c := range all {
		text += fmt.Sprintf(" c=%s,1,udp,%s,%d,%s,%d", c.Foundation(), c.Type(), c.Priority(), c.Address(), c.Port())
	}
	text += " end"
	must(os.WriteFile(path+".new", []byte(fmt.Sprintf("%s #%08x\n", text, crc32.ChecksumIEEE([]byte(text)))), 0o644))
	must(os.Rename(path+".new", path))
}

func understand(agent *ice.Agent, text string) (ufrag, pwd string) {
	for _, word := range strings.Fields(text) {
		if strings.HasPrefix(word, "stream=0,1,") {
			ufrag, pwd, _ = strings.Cut(strings.TrimPrefix(word, "stream=0,1,"), ",")
		}
		if strings.HasPrefix(word, "c=") {
			f := strings.Split(strings.TrimPrefix(word, "c="), ",")
			if f[2] != "udp" {
				continue
			}
			line := fmt.Sprintf("%s 1 udp %s %s %s typ %s", f[0], f[4], f[5], f[6], f[3])
			if len(f) > 8 {
				line += fmt.Sprintf(" raddr %s rport %s", f[7], f[8])
			}
			c, err := ice.UnmarshalCandidate(line)
			must(err)
			must(agent.AddRemoteCandidate(c))
		}
	}
	return ufrag, pwd
}

func main() {
	role, local, remote, host := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	port, err := strconv.Atoi(os.Args[5])
	must(err)
	stay, err := strconv.Atoi(os.Args[7])
	must(err)
	config := &ice.AgentConfig{
		Urls: []*ice.URL{
			{Scheme: ice.SchemeTypeSTUN, Host: host, Port: port, Proto: ice.ProtoTypeUDP},
			{Scheme: ice.SchemeTypeTURN, Host: host, Port: port, Proto: ice.ProtoTypeUDP, Username: "alice", Password: "secret"},
		},
		NetworkTypes: []ice.NetworkType{ice.NetworkTypeUDP4},
	}
	if os.Args[6] == "relay" {
		config.CandidateTypes = []ice.CandidateType{ice.CandidateTypeRelay}
	}
	agent, err := ice.NewAgent(config)
	must(err)
	gathered := make(chan struct{})
	must(agent.OnCandidate(func(c ice.Candidate) {
		if c == nil {
			close(gathered)
		}
	}))
	var state atomic.Value
	state.Store(ice.ConnectionState(ice.ConnectionStateNew))
	must(agent.OnConnectionStateChange(func(s ice.ConnectionState) { state.Store(s) }))
	must(agent.GatherCandidates())
	<-gathered
	describe(agent, local)
	var text []byte
	for text, err = os.ReadFile(remote); err != nil; text, err = os.ReadFile(remote) {
		time.Sleep(20 * time.Millisecond)
	}
	ufrag, pwd := understand(agent, string(text))
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	told := time.Now()
	var conn *ice.Conn
	if role == "offer" {
		conn, err = agent.Dial(ctx, ufrag, pwd)
	} else {
		conn, err = agent.Accept(ctx, ufrag, pwd)
	}
	must(err)
	pair, err := agent.GetSelectedCandidatePair()
	must(err)
	fmt.Printf("selected %s %s after %d ms\n", pair.Local.Type(), pair.Remote.Type(), time.Since(told).Milliseconds())
	var heard int32
	go func() {
		buf := make([]byte, 2048)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			if n > 8 && buf[0] == 0xF5 && buf[1] == 0 { // a line of turnpike-agent's
				atomic.AddInt32(&heard, 1)
			}
		}
	}()
	for i := 0; i < lines; i++ {
		_, err := fmt.Fprintf(conn, "theirs %d", i+1)
		must(err)
		time.Sleep(50 * time.Millisecond)
	}
	time.Sleep(1500*time.Millisecond + time.Duration(stay)*time.Second)
	fmt.Printf("heard %d, %s\n", atomic.LoadInt32(&heard), state.Load().(ice.ConnectionState))
	if atomic.LoadInt32(&heard) < lines || state.Load().(ice.ConnectionState) != ice.ConnectionStateConnected {
		os.Exit(1)
	}
}
