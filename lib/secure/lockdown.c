/* lockdown: what a process does that holds private keys, before it reads the first one. */
#include "secure_impl.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

enum {
    SECURE_HEAP_BYTES = 64 << 10, /* a key takes 32 bytes, a PEM text 4 KiB for a moment */
    SECURE_HEAP_BLOCK_MIN = 16,
};

void secure_lockdown(void)
{
    static const struct rlimit none = {0, 0};

    if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
        cg_log(CG_WARN, "cannot forbid core dumps: %s", strerror(errno));
    }
    if (CRYPTO_secure_malloc_initialized() == 0 &&
        CRYPTO_secure_malloc_init(SECURE_HEAP_BYTES, SECURE_HEAP_BLOCK_MIN) != 1) {
        cg_log(CG_WARN,
               "private keys may be swapped out: raise the limit of locked memory "
               "(ulimit -l) above %d KiB",
               SECURE_HEAP_BYTES / 1024);
    }
}
