"""One side of a call between two browsers: serves two_browsers.html on loopback, opens it in headless
Chromium, and hands descriptions over by files in DIRECTORY.

Where DIRECTORY/session.json is (what `session create` said), the browsers talk to the session's legs:
side a to leg 1, side b to leg 2. Each description is given to its leg, and goes to the other browser
with the other leg's ICE in it: what a session border controller does.

usage: two_browsers.py a|b DIRECTORY TURNPIKECTL CONFIG STAY_S [ICE_URL [relay]]"""

import http.server
import json
import os
import subprocess
import sys
import threading
import urllib.parse

import chromium

side, place, ctl, config, stay = sys.argv[1:6]
url, policy = [*sys.argv[6:], "", ""][:2]
page = open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "two_browsers.html"), "rb").read()
session = None
if os.path.exists(os.path.join(place, "session.json")):
    session = json.load(open(os.path.join(place, "session.json")))
    own, other = (session["legs"][i] for i in ((0, 1) if side == "a" else (1, 0)))
result, done = {}, threading.Event()
ICE = ("a=candidate:", "a=ice-ufrag:", "a=ice-pwd:", "a=ice-options:", "a=ice-lite", "a=end-of-candidates")


def order(*words):
    run = subprocess.run([ctl, "-c", config, "session", *words], capture_output=True, text=True)
    if run.returncode:
        print("#", " ".join(words[:3]), run.stderr.strip(), file=sys.stderr)
    return run.returncode == 0


def keep(name, text):
    path = os.path.join(place, name)
    with open(path + ".new", "w") as file:
        file.write(text)
    os.rename(path + ".new", path)


def with_ice_of(leg, sdp):
    """The same description, but it is this leg that is to be checked."""
    lines, out = [line for line in sdp.splitlines() if not line.startswith(ICE)], []
    for line in lines:
        if line.startswith("m=") and len(out) and leg["role"] == "lite" and "a=ice-lite" not in out:
            out.append("a=ice-lite")
        out.append(line)
        if line.startswith("c="):
            out += ["a=ice-ufrag:" + leg["ufrag"], "a=ice-pwd:" + leg["pwd"], "a=ice-options:ice2 trickle"]
            out += ["a=" + candidate.removeprefix("a=") for candidate in leg["candidates"]] + ["a=end-of-candidates"]
    return "\r\n".join(out) + "\r\n"


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, code, body=b"", kind="text/plain"):
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        name = self.path.lstrip("/")
        if self.path.startswith("/call"):
            return self.answer(200, page, "text/html")
        if name in ("offer", "answer", "ended") and os.path.exists(os.path.join(place, name)):
            return self.answer(200, open(os.path.join(place, name), "rb").read() or b"-")
        return self.answer(204 if name in ("offer", "answer", "ended") else 404)

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/description":
            if not session:
                keep(body["type"], body["sdp"])
                return self.answer(204)
            keep(f"{side}.sdp", body["sdp"])
            order("set-remote", str(session["id"]), str(own["leg"]), "@" + os.path.join(place, f"{side}.sdp"))
            keep(body["type"], with_ice_of(other, body["sdp"]))
        elif self.path == "/candidate" and session and ".local " not in body["candidate"] and body["candidate"]:
            order("add-candidate", str(session["id"]), str(own["leg"]), body["candidate"])
        elif self.path == "/result":
            result.update(body)
            keep("ended", "yes") if side == "a" else None
            done.set()
        self.answer(204)

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
query = urllib.parse.urlencode({"side": side, "stay": stay, "url": url, "policy": policy, "trickle": "yes" if session else ""})
with chromium.at(f"http://127.0.0.1:{server.server_port}/call?{query}"):
    done.wait(75 + float(stay))
print(json.dumps(result))
good = result.get("state") == "connected" and result.get("frames", 0) > 20
good = good and result["answers"] > 0 and (side == "b" or result["echoed"] == 100000)
good = good and (policy != "relay" or result["local"] == "relay")
sys.exit(not good)
