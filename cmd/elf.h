/* elf: the names of a program's functions and data, from the bytes of its file. The file is
 * foreign: nothing in it is believed before it is found to lie inside. */
#ifndef COGNU_CMD_ELF_H
#define COGNU_CMD_ELF_H

#include <cognu/base.h>

enum { ELF_SYMBOLS_MAX = 1 << 20 };

struct elf_symbol {
    uint64_t value, size; /* as linked: see elf.relocated */
    const char *name;     /* in the bytes of the file */
};
struct elf {
    struct elf_symbol *symbol; /* ascending by value */
    size_t symbols;
    uint64_t base;  /* lowest address that the file is to be loaded at */
    bool relocated; /* it is loaded elsewhere: add where it lies, less base */
};
/* Borrows data, which ends with a NUL byte beyond len. CG_EBADFORMAT: no 64-bit ELF, or cut short.
 */
cg_err elf_read(const char *data, size_t len, struct elf *out, struct cg_errbuf *eb);
void elf_fini(struct elf *e);

#endif
