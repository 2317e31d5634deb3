"""The other side of a turnpike-agent, by Chromium: serves agent_page.html on loopback, opens it, and hands
descriptions over by the agent's files.

agent_browser.py offer|answer LOCAL REMOTE TURN_URL STAY_S [WORD...]

LOCAL is what the browser's line is written to, REMOTE is where the agent's is found. Words:
  relay     iceTransportPolicy
  trickle   the agent's candidates go to addIceCandidate, one by one
  restart   the browser restarts ICE
  hidden    host addresses behind mDNS names, as browsers do it
  lie       passwords that are none, both ways
Prints one line. Exit status 0: ICE connected, and stayed so, its checks answered to the end."""

import http.server
import json
import os
import sys
import threading
import urllib.parse

import chromium
import ice_line

role, local, remote, url, stay, *words = sys.argv[1:]
lie = "lie" in words
page = open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "agent_page.html"), "rb").read()
result, done = {}, threading.Event()
descriptions = []  # of the agent


def look():
    text = open(remote).read() if os.path.exists(remote) else ""
    if text and text not in descriptions:
        descriptions.append(text)


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, code, body=b"", kind="text/plain"):
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        at = urllib.parse.urlsplit(self.path)
        if at.path == "/call":
            return self.answer(200, page, "text/html")
        if at.path != "/remote":
            return self.answer(404)
        look()
        if len(descriptions) <= int(urllib.parse.parse_qs(at.query)["n"][0]):
            return self.answer(204)
        body = {"n": len(descriptions), "attributes": ice_line.sdp_of(descriptions[-1], lie)}
        self.answer(200, json.dumps(body).encode(), "application/json")

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/description":
            with open(local + ".new", "w") as file:
                file.write(ice_line.line_of(body["sdp"], lie))
            os.rename(local + ".new", local)
        elif self.path == "/result":
            result.update(body)
            done.set()
        self.answer(204)

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
options = {"role": role, "url": url, "stay": stay, "policy": "relay" if "relay" in words else ""}
options.update({word: "yes" for word in words if word in ("trickle", "restart")})
shown = [] if "hidden" in words else ["--disable-features=WebRtcHideLocalIpsWithMdns"]
with chromium.at(f"http://127.0.0.1:{server.server_port}/call?{urllib.parse.urlencode(options)}", *shown):
    done.wait(60 + float(stay))

first, last = result.get("first", {}), result.get("last", {})
if not last:
    print("browser:", json.dumps(result))
    sys.exit(1)
since = first if first.get("pair") == last.get("pair") else {}
more = {key: last.get(key, 0) - since.get(key, 0) for key in ("sent", "answers", "asked", "packets")}
again = f", restarted in {result['restart_ms']} ms" if "restart_ms" in result else ""
print(
    f"browser: {last['local']}-{last['remote']} connect {result['connect_ms']} ms{again}, {last['state']};"
    f" while it stayed: {more['sent']} checks, {more['answers']} answers, {more['asked']} checks of ours,"
    f" {more['packets']} packets"
)
# It asks every few seconds; of what it asked, one may be on its way.
lasted = float(stay) < 10 or (more["answers"] >= float(stay) / 5 and more["answers"] >= more["sent"] - 1)
kept = last["state"] in ("connected", "completed") and not {"disconnected", "failed"} & set(result["states"])
sys.exit(not (kept and lasted and last["answers"] > 0))
