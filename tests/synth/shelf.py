"""What init does for a component that keeps things (include/cognu/keep.h), by code that shares nothing with init's."""
import array
import os
import socket
import struct
import threading

CG_ENOENT = 2


class Shelf(threading.Thread):
    """Serves one process's requests; what is kept stays with the owner of items."""

    def __init__(self, sock, items):
        super().__init__(daemon=True)
        self.sock, self.items = sock, items
        self.start()

    def run(self):
        while True:
            data, fds, _, _ = socket.recv_fds(self.sock, 400, 4)
            if not data:
                return
            verb, name = data[:1], data[1:]
            give, error = [], 0
            if verb == b"p" and len(fds) == 1:
                self.drop(name)
                self.items[name] = fds.pop()
            elif verb == b"g" and name in self.items:
                give = [self.items[name]]
            elif verb == b"g":
                error = CG_ENOENT
            elif verb == b"d":
                self.drop(name)
            for fd in fds:
                os.close(fd)
            try:
                self.sock.sendmsg([struct.pack("<I", error)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", give))] if give else [])
            except OSError:
                return

    def drop(self, name):
        if name in self.items:
            os.close(self.items.pop(name))
