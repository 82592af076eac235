/* Fuzzes the decoder: any bytes give an error, or a message whose parts lie within them. */
#include "msg.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct fmsg m;
    if (fmsg_decode(&m, bytes, len) != CG_OK) {
        return 0;
    }
    cg_assert(!m.name || strlen(m.name) < len);
    cg_assert(!m.newname || strlen(m.newname) < len);
    for (uint32_t i = 0; m.h.opcode == FUSE_BATCH_FORGET && i < m.in.batch.count; i++) {
        fmsg_forget(&m, i);
    }
    uint8_t sum = 0;
    for (uint32_t i = 0; i < m.data.len; i++) {
        sum ^= m.data.data[i];
    }
    if (m.h.opcode == FUSE_INIT) {
        struct fuse_init_out out;
        fmsg_init_reply(&m.in.init, &out);
        cg_assert((out.flags & ~m.in.init.flags) == 0);
    }
    (void)sum;
    return 0;
}
