/* Fuzz target: any bytes as requests leave a store that only grows as it was, but for new files. */
#include "disk_testkit.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <fcntl.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char kept[] = "kept as it is";
    struct disk *d = disk_new();
    struct store_io io = disk_io(d);
    void *file;
    size_t len;
    cg_assert(io.open(io.ctx, "packs/00000001", STORE_IO_CREATE, &file) == CG_OK);
    io.write(io.ctx, file, 0, kept, sizeof kept);
    io.close(io.ctx, file);
    int in = memfd_create("requests", 0), out = open("/dev/null", O_WRONLY);
    cg_assert(in >= 0 && out >= 0 && write(in, data, size) == (ssize_t)size);
    lseek(in, 0, SEEK_SET);
    store_io_serve(&io, in, out, true);
    close(in);
    close(out);
    bool there = false;
    for (uint32_t i = 0; i < disk_files(d); i++) {
        const uint8_t *now = disk_data(d, i, &len);
        if (strcmp(disk_name(d, i), "packs/00000001") == 0) {
            there = len == sizeof kept && memcmp(now, kept, len) == 0;
        }
    }
    cg_assert(there);
    disk_free(d);
    return 0;
}
