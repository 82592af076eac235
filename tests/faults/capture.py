"""Writes every frame that passes a network namespace to standard output until it is ended."""
import socket
import sys

ETH_P_ALL = 3
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as s:
    print("capturing", file=sys.stderr, flush=True)
    while True:
        sys.stdout.buffer.write(s.recv(65536))
        sys.stdout.buffer.flush()
