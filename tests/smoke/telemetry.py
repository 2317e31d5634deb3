"""The data plane's own view of itself, by DPDK's telemetry socket: it answers also while control does not."""

import json
import os
import socket


def ask(config, command):
    run = next(line.split(": ")[1].strip() for line in open(config) if line.startswith("run-dir:"))
    for root, _, names in os.walk(run + "/dpdk"):
        if "dpdk_telemetry.v2" in names:
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
                s.settimeout(5)
                s.connect(root + "/dpdk_telemetry.v2")
                s.recv(4096)
                s.send(command.encode())
                return json.loads(s.recv(1 << 16))[command.split(",")[0]]
    raise FileNotFoundError("no telemetry socket under " + run)


def counters(config):
    return ask(config, "/turnpike/counters")


def buffers(config):
    """Packet buffers that nobody holds, by port."""
    return ask(config, "/turnpike/buffers")
