"""A small 9P2000 client that shares no code with the rest of the project: it follows section 5 of the Plan 9 manual."""
import socket
import struct

NOTAG, NOFID = 0xFFFF, 0xFFFFFFFF
TVERSION, TAUTH, TATTACH, RERROR, TFLUSH, TWALK, TOPEN, TCREATE, TREAD, TWRITE, TCLUNK, TREMOVE, TSTAT, TWSTAT = (
    100, 102, 104, 107, 108, 110, 112, 114, 116, 118, 120, 122, 124, 126)
OREAD, OWRITE, ORDWR, OTRUNC, ORCLOSE = 0, 1, 2, 0x10, 0x40
DMDIR = 0x80000000


class Error(Exception):
    """What Rerror says."""


def s(text):
    data = text.encode()
    return struct.pack("<H", len(data)) + data


def take_s(data, at):
    n, = struct.unpack_from("<H", data, at)
    return data[at + 2:at + 2 + n].decode(), at + 2 + n


def parse_stat(data, at=0):
    """One directory record, whose own size stands in front; gives (dict, where the next begins)."""
    size, _, _, qtype, qvers, qpath, mode, atime, mtime, length = struct.unpack_from("<HHIBIQIIIQ", data, at)
    end, at = at + 2 + size, at + 41
    out = {"qid": (qtype, qvers, qpath), "mode": mode, "atime": atime, "mtime": mtime, "length": length}
    for name in ("name", "uid", "gid", "muid"):
        out[name], at = take_s(data, at)
    assert at == end, "a record of another size than it says"
    return out, end


def pack_stat(name="", mode=0xFFFFFFFF, mtime=0xFFFFFFFF, length=0xFFFFFFFFFFFFFFFF):
    """A record that changes only what is named."""
    body = struct.pack("<HIBIQIIIQ", 0xFFFF, 0xFFFFFFFF, 0xFF, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF, mode, 0xFFFFFFFF, mtime, length)
    body += s(name) + s("") + s("") + s("")
    return struct.pack("<H", len(body)) + body


class Client:
    def __init__(self, address, msize=8192, version="9P2000"):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.settimeout(10)
        self.sock.connect(address)
        self.next_fid, self.next_tag = 1, 0
        reply = self.rpc(TVERSION, struct.pack("<I", msize) + s(version), NOTAG)
        self.msize, = struct.unpack_from("<I", reply)
        self.version, _ = take_s(reply, 4)

    def read_exactly(self, n):
        out = b""
        while len(out) < n:
            piece = self.sock.recv(n - len(out))
            if not piece:
                raise EOFError("the server closed the connection")
            out += piece
        return out

    def send(self, kind, body, tag):
        self.sock.sendall(struct.pack("<IBH", 7 + len(body), kind, tag) + body)

    def receive(self):
        size, kind, tag = struct.unpack("<IBH", self.read_exactly(7))
        return kind, tag, self.read_exactly(size - 7)

    def rpc(self, kind, body, tag=None):
        if tag is None:
            self.next_tag = (self.next_tag + 1) % 1000
            tag = self.next_tag
        self.send(kind, body, tag)
        got, got_tag, reply = self.receive()
        assert got_tag == tag, f"answer to tag {got_tag}, asked with {tag}"
        if got == RERROR:
            raise Error(take_s(reply, 0)[0])
        assert got == kind + 1, f"answer of type {got} to {kind}"
        return reply

    def fid(self):
        self.next_fid += 1
        return self.next_fid

    def attach(self, aname="", uname="nobody"):
        fid = self.fid()
        self.rpc(TATTACH, struct.pack("<II", fid, NOFID) + s(uname) + s(aname))
        return fid

    def walk(self, fid, *names):
        """(new fid, count of elements walked); the new fid exists only when all were."""
        new = self.fid()
        reply = self.rpc(TWALK, struct.pack("<IIH", fid, new, len(names)) + b"".join(map(s, names)))
        return new, struct.unpack_from("<H", reply)[0]

    def open(self, fid, mode):
        return self.rpc(TOPEN, struct.pack("<IB", fid, mode))

    def create(self, fid, name, perm, mode):
        return self.rpc(TCREATE, struct.pack("<I", fid) + s(name) + struct.pack("<IB", perm, mode))

    def read(self, fid, offset, count):
        return self.rpc(TREAD, struct.pack("<IQI", fid, offset, count))[4:]

    def write(self, fid, offset, data):
        return struct.unpack("<I", self.rpc(TWRITE, struct.pack("<IQI", fid, offset, len(data)) + data))[0]

    def stat(self, fid):
        return parse_stat(self.rpc(TSTAT, struct.pack("<I", fid)), 2)[0]

    def wstat(self, fid, **changes):
        record = pack_stat(**changes)
        self.rpc(TWSTAT, struct.pack("<IH", fid, len(record)) + record)

    def clunk(self, fid):
        self.rpc(TCLUNK, struct.pack("<I", fid))

    def remove(self, fid):
        self.rpc(TREMOVE, struct.pack("<I", fid))

    def read_all(self, fid, piece=4096):
        out = b""
        while True:
            data = self.read(fid, len(out), piece)
            if not data:
                return out
            out += data

    def list(self, fid, piece=512):
        """Names in a directory that is open, by reads of whole records."""
        data, at, out = self.read_all(fid, piece), 0, []
        while at < len(data):
            record, at = parse_stat(data, at)
            out.append(record)
        return out
