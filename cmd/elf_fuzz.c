/* Any bytes as a program's file: no crash, and every name ends inside. */
#include "elf.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct elf e;
    if (elf_read((const char *)data, size, &e, NULL) == CG_OK) {
        for (size_t i = 0; i < e.symbols; i++) {
            cg_assert(e.symbol[i].name + strlen(e.symbol[i].name) < (const char *)data + size);
            cg_assert(i == 0 || e.symbol[i - 1].value <= e.symbol[i].value);
        }
        elf_fini(&e);
    }
    return 0;
}
