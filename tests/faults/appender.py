"""Appends lines to a file, one open, write and close each, and says of each what it was told. Runs inside the cell."""
import os
import sys
import time

path, count, pause = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
for i in range(count):
    try:
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(fd, b"line %d\n" % i)
        finally:
            os.close(fd)
        print("done", i, flush=True)
    except OSError as e:
        print("failed", i, e.strerror, flush=True)
    time.sleep(pause)
