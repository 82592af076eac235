/* Any bytes as a roster: parsed or refused; what is parsed merges with itself into itself. */
#include <cognu/secure.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct secure_roster r, out;

    if (secure_roster_parse_body((const char *)data, size, &r, NULL) == CG_OK) {
        if (secure_roster_merge(&r, &r, 0, &out, NULL) == CG_OK) {
            cg_assert(secure_roster_same(&r, &out) && out.serial == r.serial);
            secure_roster_fini(&out);
        }
        secure_roster_fini(&r);
    }
    if (secure_roster_parse((const char *)data, size, &r, NULL) == CG_OK) {
        secure_roster_fini(&r);
    }
    return 0;
}
