/* Static 64-bit ELF files, read with every bound checked: they may come from anywhere. */
#ifndef USER_ELF_H
#define USER_ELF_H

#include <stdbool.h>
#include <stdint.h>

#define ELF_SEGMENTS 8u

struct elf_segment {
    uint64_t address, memory; /* bytes in memory; the end does not wrap */
    uint64_t offset, file;    /* bytes in the file; within it, at most memory */
    bool write, execute;
};

struct elf {
    uint64_t entry;
    bool movable;                   /* ET_DYN: addresses are relative to where it is put */
    uint64_t headers, header_count; /* program headers: address in memory, as AT_PHDR wants it */
    uint64_t first, end;            /* of all segments, whole pages */
    unsigned segments;
    struct elf_segment segment[ELF_SEGMENTS];
};

/* False, with why set, when it is not a static program for this machine, or does not fit below
 * `limit`. */
bool elf_read(const uint8_t *file, uint64_t bytes, uint64_t limit, struct elf *elf,
              const char **why);

#endif
