#!/usr/bin/python3
"""Between turnpike-agent's one line and the ICE attributes of SDP; a module of agent_browser.py.

ice_line.py STATS TRACE    what a turnpike-agent found and asked, one line
"""
import json
import sys
import zlib


def line_of(sdp, lie=False):
    ufrag = pwd = options = ""
    words = []
    for text in sdp.splitlines():
        name, _, value = text.strip().removeprefix("a=").partition(":")
        if name == "ice-ufrag":
            ufrag = value
        elif name == "ice-pwd":
            pwd = value
        elif name == "ice-options":
            options = value
        elif name == "candidate":
            foundation, component, transport, priority, host, port, _, kind, *rest = value.split()
            more = dict(zip(rest[::2], rest[1::2]))
            if transport.lower() == "udp" and component == "1" and not host.endswith(".local"):
                word = f"c={foundation},1,udp,{kind},{priority},{host},{port}"
                if "raddr" in more and more["rport"] != "0":
                    word += f",{more['raddr']},{more['rport']}"
                words.append(word)
    ice2 = " ice2" if "ice2" in options.split() else ""  # without: it may nominate more than once
    text = " ".join([f"ice1{ice2} stream=0,1,{ufrag},{pwd[::-1] if lie else pwd}", *words, "end"])
    return f"{text} #{zlib.crc32(text.encode()):08x}\n"


def sdp_of(line, lie=False):
    out = []
    for word in line.split():
        kind, _, rest = word.partition("=")
        if kind == "stream":
            _, _, ufrag, pwd = rest.split(",")
            out += [f"a=ice-ufrag:{ufrag}", f"a=ice-pwd:{pwd[::-1] if lie else pwd}"]
        elif kind == "c":
            foundation, component, protocol, what, priority, host, port, *related = rest.split(",")
            text = f"a=candidate:{foundation} {component} {protocol.upper()} {priority} {host} {port} typ {what}"
            out.append(text + (f" raddr {related[0]} rport {related[1]}" if related else ""))
    return "\n".join(out) + "\n"


def facts(stats, trace):
    asked, answered, restarts = set(), set(), 0
    for line in open(trace):
        event = json.loads(line)
        kind = event.get("event")
        if kind == "TX" and event.get("what") == "consent":
            asked.add(event["txid"])
        elif kind == "RX" and event.get("txid") in asked and event.get("class") == "success":
            answered.add(event["txid"])
        elif kind == "RESTART":
            restarts += 1
    s = json.load(open(stats))
    print(f"{s['local_type']}-{s['remote_type']} connect {s['connect_ms']} ms, sent {s['sent']},"
          f" received {s['received']}, consent asked {len(asked)}, answered {len(answered)}, restarts {restarts}")


if __name__ == "__main__":
    facts(*sys.argv[1:])
