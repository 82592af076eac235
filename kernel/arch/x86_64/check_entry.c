/* In the image that is built with KERNEL_CHECK: the whole invariant after every entry. */
#include "asm.h"
#include "machine.h"
#include "object/check.h"

void check_entry(void)
{
    static const char *const name[] = {
#define CLAUSE(name) #name,
#include "object/clauses.def"
    };
    uint64_t since = tsc_read();
    uint32_t clause = check_inv();
    if (clause != CLAUSES) {
        serial_text("\nclause ");
        serial_text(name[clause]);
        machine_stop("the invariant does not hold");
    }
    apic_skip(since);
}
