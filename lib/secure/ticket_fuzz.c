/* Any bytes as a ticket: decoded or refused; what is decoded encodes to the same bytes. */
#include <cognu/secure.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t again[SECURE_TICKET_BYTES_MAX];
    struct secure_ticket t;

    if (size <= sizeof(again) && secure_ticket_decode(data, size, &t, NULL) == CG_OK) {
        size_t len = secure_ticket_encode(&t, again, sizeof(again));
        cg_assert(len == size && memcmp(again, data, len) == 0);
        cg_assert(secure_ticket_check(&t, t.block[0].cell, t.block[0].expires_s, NULL, NULL,
                                      NULL) != CG_OK); /* nobody forges by chance */
    }
    return 0;
}
