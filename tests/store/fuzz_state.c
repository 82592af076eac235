/* Fuzz target: any bytes are no state, or one that encodes to the same bytes. */
#include "../../lib/store/store__.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct state st;
    struct cg_str again = {0};
    if (state_decode(data, size, &st) != CG_OK) {
        return 0;
    }
    cg_assert(state_encode(&st, &again) == CG_OK);
    cg_assert(again.len == size && memcmp(again.data, data, size) == 0);
    cg_str_fini(&again);
    state_fini(&st);
    return 0;
}
