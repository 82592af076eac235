/* Fuzz target: any bytes as a pack are scrubbed to an end, and as compressed data give what was
 * said or an error. */
#include "../../lib/store/store__.h"
#include "disk_testkit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct disk *d = disk_new();
    struct store_io io = disk_io(d);
    struct store_checked c;
    struct cg_errbuf eb = {0};
    uint64_t cursor = 0;
    void *file;
    cg_assert(io.open(io.ctx, "packs/00000001", STORE_IO_CREATE, &file) == CG_OK);
    io.write(io.ctx, file, 0, data, size);
    io.close(io.ctx, file);
    cg_err e = store_scrub(&io, &cursor, UINT64_MAX, NULL, NULL, NULL, &c, &eb);
    cg_assert(e == CG_OK || e == CG_EIO);
    cg_assert(cursor == 0 && c.packs == 1 && (e == CG_EIO) == (c.damaged > 0));
    disk_free(d);
    if (size > 3) {
        static struct packer *p;
        static uint8_t raw[FRAME_RAW_BYTES_MAX];
        p = p ? p : packer_new(STORE_FAST);
        size_t want = ((size_t)data[1] << 8 | data[2]) + 1;
        frame_unpack(p, data[0] % 3, data + 3, size - 3, raw, want);
    }
    return 0;
}
