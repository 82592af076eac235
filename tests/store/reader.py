#!/usr/bin/env python3
"""Restores a store from docs/store-format.md alone: no code of the library, no index.

usage: reader.py STORE PASSPHRASE_FILE list
       reader.py STORE PASSPHRASE_FILE tree REFERENCE
       reader.py STORE PASSPHRASE_FILE restore REFERENCE DEST

`active` is the active tree with what is in its journal; `tree` prints a line for each file: path, kind, mode, links, bytes,
SHA-256 of the contents, attributes, target.

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


class Contents:
    """The pieces of a file with a list, as often as they are asked for."""

    def __init__(self, store, score):
        self.store, self.score = store, score

    def __iter__(self):
        return self.store.contents(self.score)


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
                e["parts"] = [self.get(score, 1)] if content == 2 else Contents(self, score)
        elif kind == 2:
            e["score"] = b.take(24)
        elif kind == 3:
            e["target"] = b.take(b.get("H"))
        return e

    def below(self, e):
        return self.entries(e["score"])

    def root(self, name):
        """What has the tree's files, and the entry of its root."""
        snapshot = Bytes(self.get(self.refs[name], 2))
        if snapshot.get("cBHI")[0] != b"S":
            raise ValueError("no snapshot")
        top = dict(score=snapshot.take(24))
        return Active(self, self.below(top)).root() if name == "active" else (self, top)


class Active:
    """The active tree: the committed one, and over it what the journal says."""

    ROOT, ORPHANS = 1, 2

    def __init__(self, store, entries):
        self.store = store
        top = {e["name"]: e for e in entries}
        self.files = {self.ROOT: top[b"tree"], self.ORPHANS: top[b"orphans"]}
        meta = Bytes(b"".join(top[b"meta"]["parts"]))
        version, _, number, _, _ = meta.get("I4Q")
        if version != 1:
            raise ValueError("active tree")
        while self.replay(number):
            number += 1

    def replay(self, number):
        """True: the segment has its end, and the next follows."""
        try:
            data = self.store.read("journal", f"{number:016x}")
        except FileNotFoundError:
            return False
        if data[:40] != b"cgnujour" + struct.pack("<HHIQ", 1, 0, 0, number) + self.store.id:
            return False
        key, at, ended = hkdf(self.store.key, "cognu store journal", data[40:56], 32), 64, False
        while not ended and at + 12 <= len(data):
            n, count = struct.unpack("<IQ", data[at:at + 12])
            try:
                frame = unseal(key, count, data[at:at + 12] + struct.pack("<Q", at), data[at + 12:at + 12 + n + 16])
            except (InvalidTag, ValueError):
                break
            ended = self.apply(Bytes(frame))
            at += 12 + n + 16
        return ended

    def children(self, ino):
        d = self.files[ino]
        if "children" not in d:
            d["children"] = {}
            for e in self.store.below(d) if "score" in d else ():
                d["children"][e["name"]] = e["ino"]
                self.files.setdefault(e["ino"], e)
        return d["children"]

    def apply(self, b):
        while b.at < len(b.data):
            kind = b.get("B")
            if kind == 1:
                ino, directory, name = b.get("Q"), b.get("Q"), b.text()
                if self.children(directory)[name] != ino:
                    raise ValueError("know")
            elif kind == 2:
                ino, e = b.get("Q"), dict(zip(("kind", "mode", "uid", "gid", "rdev", "mtime"), b.get("BIIIQq")))
                target = b.take(b.get("H"))
                self.files[ino] = dict(e, ino=ino, target=target, xattrs=[], parts=[], size=0)
            elif kind == 3:
                directory, name, ino = b.get("Q"), b.text(), b.get("Q")
                self.children(directory)[name] = ino
            elif kind == 4:
                directory, name = b.get("Q"), b.text()
                del self.children(directory)[name]
            elif kind == 10:
                return True
            else:
                self.change(kind, self.files.get(b.get("Q"), {}), b)
        return False

    def change(self, kind, e, b):
        """A record of one file; one that is known no more takes it too, to no effect."""
        if kind == 5:
            e["mode"], e["uid"], e["gid"], e["mtime"], _ = b.get("IIIqq")
        elif kind == 6:
            at, data = b.get("Q"), b.take(b.get("I"))
            whole = self.bytes_of(e)
            whole.extend(bytes(max(0, at - len(whole))))
            whole[at:at + len(data)] = data
        elif kind == 7:
            size, whole = b.get("Q"), self.bytes_of(e)
            del whole[size:]
            whole.extend(bytes(size - len(whole)))
        elif kind == 8:
            start, end = b.get("QQ")
            whole = self.bytes_of(e)
            end = min(end, len(whole))
            whole[start:end] = bytes(max(0, end - start))
        elif kind == 9:
            attributes, e["xattrs"] = Bytes(b.take(b.get("I"))), []
            while attributes.at < len(attributes.data):
                e["xattrs"].append((attributes.text(), attributes.take(attributes.get("I"))))
        else:
            raise ValueError("record")

    @staticmethod
    def bytes_of(e):
        """The contents in memory, from where they are changed."""
        if "whole" not in e:
            e["whole"] = bytearray(b"".join(e.get("parts", ())))
            e["parts"] = [e["whole"]]
        return e["whole"]

    def root(self):
        names, todo = {}, [self.ROOT]
        while todo:
            for ino in self.children(todo.pop()).values():
                names[ino] = names.get(ino, 0) + 1
                if self.files[ino]["kind"] == 2:
                    todo.append(ino)
        for ino, count in names.items():
            e = self.files[ino]
            e["links"] = count
            if e["kind"] == 2:
                e["links"] = 2 + sum(self.files[i]["kind"] == 2 for i in self.children(ino).values())
            e["size"] = len(e["whole"]) if "whole" in e else e.get("size")
        return self, self.files[self.ROOT]

    def below(self, d):
        for name, ino in sorted(self.children(d.get("ino", self.ROOT)).items()):
            yield dict(self.files[ino], name=name)


def restore(tree, directory, dest, made):
    for e in tree.below(directory):
        path = os.path.join(dest, e["name"])
        if e["kind"] != 2 and e["links"] > 1 and e["ino"] in made:
            os.link(made[e["ino"]], path, follow_symlinks=False)
            continue
        if e["kind"] == 1:
            with open(path, "wb") as f:
                for part in e["parts"]:
                    f.write(part)
            if os.path.getsize(path) != e["size"]:
                raise ValueError("size")
        elif e["kind"] == 2:
            os.mkdir(path)
            restore(tree, e, path, made)
        elif e["kind"] == 3:
            os.symlink(e["target"], path)
        elif e["kind"] == 4:
            os.mkfifo(path)
        else:
            continue
        made[e["ino"]] = path
        if e["kind"] != 3:
            os.chmod(path, e["mode"])
            for name, value in e["xattrs"] if e["kind"] <= 2 else ():  # others have none on the host
                os.setxattr(path, name, value)
        os.utime(path, ns=(e["mtime"], e["mtime"]), follow_symlinks=False)


def show(tree, directory, above):
    for e in tree.below(directory):
        path = above + b"/" + e["name"]
        digest = hashlib.sha256()
        size = 0
        for part in e["parts"] if e["kind"] == 1 else ():
            digest.update(part)
            size += len(part)
        if e["kind"] == 1 and size != e["size"]:
            raise ValueError("size")
        attributes = b",".join(name + b"=" + value for name, value in e["xattrs"])
        fields = (b"%s %d %o %d %d" % (path, e["kind"], e["mode"], e["links"], size), digest.hexdigest().encode(), attributes,
                  e.get("target") or b"")
        sys.stdout.buffer.write(b" ".join(fields) + b"\n")
        if e["kind"] == 2:
            show(tree, e, path)


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
    tree, top = store.root(name)
    if what == "tree":
        show(tree, top, b"")
        return
    os.makedirs(sys.argv[5])
    restore(tree, top, os.fsencode(sys.argv[5]), {})


if __name__ == "__main__":
    main()
