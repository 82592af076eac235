/* Any bytes as a credential of either kind: never accepted. */
#include <cognu/secure.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct secure_attach expect = {.name = "ann", .tree = "root"};
    struct cg_span credential = {data, (uint32_t)size};
    struct secure_ticket t;
    uint8_t user[32];
    uint64_t expires_s;

    cg_assert(secure_attach_check(credential, &expect, 1, user, &expires_s, NULL) != CG_OK);
    cg_assert(secure_ticket_proof_check(credential, &expect, 1, &t, &expires_s, NULL) != CG_OK);
    return 0;
}
