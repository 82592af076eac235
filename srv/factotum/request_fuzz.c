/* Any bytes as a signing request: signed or refused, never a crash. */
#include "factotum.h"

#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct keyring ring;
    static char folder[] = "/tmp/cognu-factotum-fuzz-XXXXXX";
    struct cg_str answer = {0};

    if (ring.count == 0) {
        cg_assert(mkdtemp(folder) != NULL);
        cg_assert(keyring_open(&ring, folder, "owner", NULL) == CG_OK);
    }
    (void)request_sign(&ring, (const char *)data, size, 1800000000, &answer, NULL);
    cg_str_fini(&answer);
    return 0;
}
