/* Any bytes given to the reader of ELF files: what it accepts lies within the file and below the
 * limit. */
#include "elf.h"

#include <assert.h>
#include <stddef.h>

#define LIMIT 0x10000000000ULL

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct elf elf;
    const char *why = NULL;
    if (!elf_read(data, size, LIMIT, &elf, &why)) {
        assert(why != NULL);
        return 0;
    }
    assert(elf.segments > 0 && elf.segments <= ELF_SEGMENTS);
    for (unsigned i = 0; i < elf.segments; i++) {
        const struct elf_segment *s = &elf.segment[i];
        assert(s->file <= s->memory && s->offset <= size && s->file <= size - s->offset);
        assert(s->address >= elf.first && s->address + s->memory <= elf.end);
        assert(s->address + s->memory <= LIMIT);
    }
    return 0;
}
