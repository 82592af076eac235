#!/usr/bin/env python3
"""Restores a store from docs/store-format.md alone: no code of the library, no index.

usage: reader.py STORE PASSPHRASE_FILE list
       reader.py STORE PASSPHRASE_FILE restore REFERENCE DEST

Needs python3-cryptography for AES-GCM, and the program zstd.
"""
import hashlib
import hmac
import os
import struct
import subprocess
import sys

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


def hkdf(key, label, salt, length):
    prk = hmac.new(salt or bytes(32), key, hashlib.sha256).digest()
    out, block, i = b"", b"", 1
    while len(out) < length:
        block = hmac.new(prk, block + label.encode() + bytes([i]), hashlib.sha256).digest()
        out, i = out + block, i + 1
    return out[:length]


def unseal(key, nonce, aad, sealed):
    return AESGCM(key).decrypt(struct.pack("<QI", nonce, 0), sealed, aad)


def lz4_block(data, size):
    out, i = bytearray(), 0

    def length(nibble):
        nonlocal i
        n = nibble
        while nibble == 15:
            more, i = data[i], i + 1
            n += more
            if more != 255:
                break
        return n

    while i < len(data):
        token, i = data[i], i + 1
        literals = length(token >> 4)
        out += data[i:i + literals]
        i += literals
        if i < len(data):
            offset, i = data[i] | data[i + 1] << 8, i + 2
            for _ in range(length(token & 15) + 4):
                out.append(out[-offset])
    if len(out) != size:
        raise ValueError("lz4")
    return bytes(out)


def zstd(data):
    return subprocess.run(["zstd", "-dcq"], input=data, capture_output=True, check=True).stdout


class Bytes:
    """A cursor over bytes."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        if n > len(self.data) - self.at:
            raise ValueError("cut short")
        self.at += n
        return self.data[self.at - n:self.at]

    def get(self, form):
        values = struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))
        return values if len(values) > 1 else values[0]

    def text(self):
        return self.take(self.get("B"))


class Store:
    def __init__(self, path, passphrase):
        self.path = path
        config = self.read("config")
        if config[:8] != b"cgnustor" or hashlib.sha256(config[:-32]).digest() != config[-32:]:
            raise ValueError("config")
        self.id = config[12:28]
        slot = config[28:128]
        kind, n, r, p = slot[:4]
        if kind != 1:
            raise ValueError("no passphrase")
        key = hashlib.scrypt(passphrase, salt=slot[4:20], n=1 << n, r=r, p=p, dklen=32, maxmem=1 << 30)
        keys = unseal(key, 0, config[:28] + slot[:20], slot[20:])
        self.key, domain = keys[:32], keys[32:]
        self.score_keys = {1: hkdf(domain, "cognu store score data", b"", 32),
                           2: hkdf(domain, "cognu store score node", b"", 32)}
        self.objects, self.frames = {}, {}
        self.refs = self.read_state()
        for name in sorted(os.listdir(os.path.join(path, "packs"))):
            self.read_pack(name)

    def read(self, *names):
        with open(os.path.join(self.path, *names), "rb") as f:
            return f.read()

    def read_state(self):
        name = max(n for n in os.listdir(os.path.join(self.path, "state")) if not n.startswith("tmp-"))
        data = self.read("state", name)
        head = data[:56]
        if head[:8] != b"cgnustat" or head[24:40] != self.id:
            raise ValueError("state")
        b = Bytes(unseal(hkdf(self.key, "cognu store state", head[40:56], 32), 0, head, data[56:]))
        b.get("5Q2I")
        packs, runs, refs, _ = b.get("4I")
        b.take(packs * 28 + runs * 16)
        found = {}
        for _ in range(refs):
            score = b.take(24)
            b.get("QQ")
            found[b.text().decode()] = score
        return found

    def read_pack(self, name):
        data = self.read("packs", name)
        head = data[:64]
        if head[:8] != b"cgnupack" or head[16:32] != self.id:
            raise ValueError("pack")
        key, at = hkdf(self.key, "cognu store pack", head[32:48], 32), 64
        while data[at:at + 4] == b"CFRM":
            alg, kind, objects, dir_len, data_len, raw_len, number = struct.unpack("<BBHIIII", data[at + 4:at + 24])
            aad, body = data[at:at + 32], at + 48
            end = body + dir_len + 16 + data_len + 16
            check = AESGCM(bytes(32)).encrypt(bytes(12), b"", aad + data[body:end])
            if check != data[at + 32:at + 48]:
                raise ValueError("checksum")
            directory = Bytes(unseal(key, 2 * number, aad, data[body:body + dir_len + 16]))
            frame, offset = (key, number, aad, data[body + dir_len + 16:end], alg, raw_len), 0
            for _ in range(objects):
                score, length = directory.take(24), directory.get("I")
                self.objects[score] = (kind, frame, offset, length)
                offset += length
            at = end
        if data[at:at + 4] != b"CEND":
            raise ValueError("pack without end")

    def get(self, score, kind):
        have, frame, offset, length = self.objects[score]
        key, number, aad, sealed, alg, raw_len = frame
        if id(frame) not in self.frames:
            plain = unseal(key, 2 * number + 1, aad, sealed)
            self.frames[id(frame)] = plain if alg == 0 else zstd(plain) if alg == 1 else lz4_block(plain, raw_len)
        data = self.frames[id(frame)][offset:offset + length]
        if have != kind or hmac.new(self.score_keys[kind], data, hashlib.sha256).digest()[:24] != score:
            raise ValueError("score")
        return data

    # ---- trees ----

    def contents(self, score):
        node = Bytes(self.get(score, 2))
        kind, level, items, _ = node.get("cBHI")
        if kind != b"L":
            raise ValueError("no list")
        for _ in range(items):
            child = node.take(24)
            if level:
                node.get("Q")
                yield from self.contents(child)
            else:
                length = node.get("I")
                yield self.get(child, 1) if child != bytes(24) else bytes(length)

    def entries(self, score):
        node = Bytes(self.get(score, 2))
        kind, level, items, _ = node.get("cBHI")
        if kind != b"D":
            raise ValueError("no directory")
        for _ in range(items):
            if level:
                child = node.take(24)
                node.text()
                yield from self.entries(child)
            else:
                yield self.entry(node)

    def entry(self, b):
        kind, flags, content, mode, uid, gid, mtime, ino = b.get("BBBHIIqQ")
        e = dict(kind=kind, mode=mode, uid=uid, gid=gid, mtime=mtime, ino=ino, name=b.text(), links=1, xattrs=[])
        if flags & 1:
            b.get("q")
        if flags & 8:
            e["links"] = b.get("I")
        if flags & 4:
            e["rdev"] = b.get("Q")
        if flags & 2:
            attributes = Bytes(b.take(b.get("I")))
            while attributes.at < len(attributes.data):
                e["xattrs"].append((attributes.text(), attributes.take(attributes.get("I"))))
        if kind == 1:
            e["size"] = b.get("Q")
            e["parts"] = [] if content == 0 else [b.take(e["size"])] if content == 1 else None
            if content >= 2:
                score = b.take(24)
                e["parts"] = [self.get(score, 1)] if content == 2 else self.contents(score)
        elif kind == 2:
            e["score"] = b.take(24)
        elif kind == 3:
            e["target"] = b.take(b.get("H"))
        return e

    def restore(self, score, dest, made):
        for e in self.entries(score):
            path = os.path.join(dest, e["name"])
            if e["kind"] != 2 and e["links"] > 1 and e["ino"] in made:
                os.link(made[e["ino"]], path)
                continue
            if e["kind"] == 1:
                with open(path, "wb") as f:
                    for part in e["parts"]:
                        f.write(part)
                if os.path.getsize(path) != e["size"]:
                    raise ValueError("size")
            elif e["kind"] == 2:
                os.mkdir(path)
                self.restore(e["score"], path, made)
            elif e["kind"] == 3:
                os.symlink(e["target"], path)
            elif e["kind"] == 4:
                os.mkfifo(path)
            else:
                continue
            made[e["ino"]] = path
            if e["kind"] != 3:
                os.chmod(path, e["mode"])
                for name, value in e["xattrs"]:
                    os.setxattr(path, name, value)
            os.utime(path, ns=(e["mtime"], e["mtime"]), follow_symlinks=False)


def main():
    path, passphrase_file, what = sys.argv[1:4]
    with open(passphrase_file, "rb") as f:
        passphrase = f.readline().rstrip(b"\n")
    try:
        store = Store(path, passphrase)
    except InvalidTag:
        sys.exit("reader: the passphrase is wrong, or the store was changed")
    if what == "list":
        print("\n".join(sorted(store.refs)))
        return
    name = next(n for n in sorted(store.refs, reverse=True) if n.startswith(sys.argv[4]))
    snapshot = Bytes(store.get(store.refs[name], 2))
    if snapshot.get("cBHI")[0] != b"S":
        raise ValueError("no snapshot")
    os.makedirs(sys.argv[5])
    store.restore(snapshot.take(24), os.fsencode(sys.argv[5]), {})


if __name__ == "__main__":
    main()
