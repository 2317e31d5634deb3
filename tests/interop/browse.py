"""Serves call.html on loopback, opens it in headless Chromium and judges what the page reports.

usage: browse.py TURN_URL USER PASSWORD"""

import http.server
import json
import os
import sys
import threading
import urllib.parse

import chromium

url, user, password = sys.argv[1:4]
page = open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "call.html"), "rb").read()
result, done = {}, threading.Event()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path.startswith("/call") else 404)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        if self.path.startswith("/call"):
            self.wfile.write(page)

    def do_POST(self):
        result.update(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()
        done.set()

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
query = urllib.parse.urlencode({"url": url, "user": user, "password": password})
with chromium.at(f"http://127.0.0.1:{server.server_port}/call?{query}"):
    done.wait(60)
print(json.dumps(result))
good = (
    result.get("echoed") == 100000
    and result.get("frames", 0) > 20
    and all(result[side]["local"] == "relay" and result[side]["remote"] == "relay" for side in "ab")
)
sys.exit(not good)
