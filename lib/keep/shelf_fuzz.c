/* What a component may ask of init's shelf: any bytes, with and without a descriptor. */
#include "pass.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct keep_shelf shelf;
    static int pair[2], null = -1;
    uint8_t reply[PASS_BYTES_MAX];
    int fd;
    if (null < 0) {
        null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        cg_assert(null >= 0 && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair) == 0);
    }
    keep_shelf_init(&shelf, 4, 1 << 20);
    while (size > 1) { /* the first byte: length of the request, and whether it brings something */
        size_t len = 1 + data[0] % 80;
        len = len < size - 1 ? len : size - 1;
        if (!pass_send(pair[0], data + 1, len, data[0] & 0x80 ? null : -1)) {
            break;
        }
        cg_assert(keep_shelf_serve(&shelf, pair[1]));
        ssize_t n = pass_receive(pair[0], reply, sizeof reply, &fd);
        cg_assert(n >= 4 && shelf.count <= 4);
        if (fd >= 0) {
            close(fd);
        }
        data += 1 + len;
        size -= 1 + len;
    }
    keep_shelf_clear(&shelf);
    return 0;
}
