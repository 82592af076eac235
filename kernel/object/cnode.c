/* Cnodes: see cnode.h. */
#include "object/cnode.h"

uint32_t s_home[HOME_SLOTS];
uint32_t k_count[HOME_SLOTS];
uint32_t k_size[HOME_SLOTS];

bool slot_free(uint32_t s)
{
    uint32_t k = s_home[s];
    return k == NIL || s - k >= k_size[k];
}

uint32_t slots_free(uint32_t first, uint32_t count)
{
    uint32_t n = 0;
    while (n < count && slot_free(first + n)) {
        n++;
    }
    return n;
}

void cnode_extend(uint32_t k, uint32_t from, uint32_t count)
{
    for (uint32_t n = 0; n < count; n++) {
        s_home[from + n] = k;
    }
    k_size[k] = from + count - k;
    k_count[k] = from + count - k;
}
