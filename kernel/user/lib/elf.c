/* ELF: see elf.h. The layouts are those of the System V ABI. */
#include "elf.h"

#include <stddef.h>

#define PT_LOAD   1u
#define PT_INTERP 3u
#define ET_EXEC   2u
#define ET_DYN    3u
#define X86_64    62u
#define PAGE      4096ULL

static uint64_t number(const uint8_t *p, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = bytes; i > 0; i--) {
        value = value << 8 | p[i - 1];
    }
    return value;
}

static bool add_segment(const uint8_t *p, uint64_t bytes, uint64_t limit, struct elf *elf)
{
    struct elf_segment s = {
        .offset = number(p + 8, 8),
        .address = number(p + 16, 8),
        .file = number(p + 32, 8),
        .memory = number(p + 40, 8),
        .write = (p[4] & 2) != 0,
        .execute = (p[4] & 1) != 0,
    };
    if (s.memory == 0) {
        return true;
    }
    if (elf->segments == ELF_SEGMENTS || s.file > s.memory || s.offset > bytes ||
        s.file > bytes - s.offset || s.address > limit || s.memory > limit - s.address) {
        return false;
    }
    uint64_t end = (s.address + s.memory + PAGE - 1) & -PAGE;
    uint64_t first = s.address & -PAGE;
    elf->first = elf->segments == 0 || first < elf->first ? first : elf->first;
    elf->end = end > elf->end ? end : elf->end;
    elf->segment[elf->segments++] = s;
    return true;
}

/* Where the program headers are in memory: in the segment that holds their place in the file. */
static void find_headers(struct elf *elf, uint64_t offset)
{
    for (unsigned i = 0; i < elf->segments; i++) {
        const struct elf_segment *s = &elf->segment[i];
        if (offset >= s->offset && offset - s->offset < s->file) {
            elf->headers = s->address + (offset - s->offset);
        }
    }
}

bool elf_read(const uint8_t *file, uint64_t bytes, uint64_t limit, struct elf *elf,
              const char **why)
{
    *elf = (struct elf){0};
    *why = "it is no ELF file for this machine";
    if (bytes < 64 || number(file, 4) != 0x464c457f || file[4] != 2 || file[5] != 1 ||
        number(file + 18, 2) != X86_64) {
        return false;
    }
    uint64_t type = number(file + 16, 2), offset = number(file + 32, 8);
    uint64_t size = number(file + 54, 2), count = number(file + 56, 2);
    if ((type != ET_EXEC && type != ET_DYN) || size != 56 || offset > bytes ||
        count > (bytes - offset) / size) {
        return false;
    }
    elf->movable = type == ET_DYN;
    elf->entry = number(file + 24, 8);
    elf->header_count = count;
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *p = file + offset + i * size;
        if (number(p, 4) == PT_INTERP) {
            *why = "it is linked dynamically";
            return false;
        }
        *why = "a segment is out of bounds";
        if (number(p, 4) == PT_LOAD && !add_segment(p, bytes, limit, elf)) {
            return false;
        }
    }
    find_headers(elf, offset);
    *why = "it has nothing to load";
    return elf->segments > 0;
}
