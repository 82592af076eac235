/* elf: see elf.h. Names come from .symtab, and where that was stripped from .dynsym. */
#include "elf.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

struct file {
    const char *data;
    size_t len;
};

/* A record of n bytes at an offset; false: it is not all there. */
static bool get(const struct file *f, uint64_t at, void *out, size_t n)
{
    if (at > f->len || n > f->len - at) {
        return false;
    }
    memcpy(out, f->data + at, n);
    return true;
}

/* A text inside a table of strings; NULL: it is not, or does not end there. */
static const char *text(const struct file *f, const Elf64_Shdr *strings, uint32_t at)
{
    if (strings->sh_offset > f->len || strings->sh_size > f->len - strings->sh_offset ||
        at >= strings->sh_size) {
        return NULL;
    }
    const char *s = f->data + strings->sh_offset + at;
    return memchr(s, '\0', strings->sh_size - at) ? s : NULL;
}

static int by_value(const void *a, const void *b)
{
    const struct elf_symbol *x = a, *y = b;
    return x->value < y->value ? -1 : x->value > y->value;
}

static cg_err take(const struct file *f, const Elf64_Shdr *table, const Elf64_Shdr *strings,
                   struct elf *out)
{
    uint64_t n = table->sh_size / sizeof(Elf64_Sym);
    if (table->sh_offset > f->len || table->sh_size > f->len - table->sh_offset ||
        n > ELF_SYMBOLS_MAX) {
        return CG_EBADFORMAT;
    }
    out->symbol = cg_alloc((size_t)n * sizeof *out->symbol + 1);
    if (!out->symbol) {
        return CG_ENOMEM;
    }
    for (uint64_t i = 0; i < n; i++) {
        Elf64_Sym s;
        if (!get(f, table->sh_offset + i * sizeof s, &s, sizeof s)) {
            return CG_EBADFORMAT;
        }
        int type = ELF64_ST_TYPE(s.st_info);
        const char *name = text(f, strings, s.st_name);
        if (s.st_shndx != SHN_UNDEF && (type == STT_FUNC || type == STT_OBJECT) && name && *name) {
            out->symbol[out->symbols++] = (struct elf_symbol){s.st_value, s.st_size, name};
        }
    }
    qsort(out->symbol, out->symbols, sizeof *out->symbol, by_value);
    return CG_OK;
}

static cg_err read_sections(const struct file *f, const Elf64_Ehdr *h, struct elf *out)
{
    static const uint32_t kinds[] = {SHT_SYMTAB, SHT_DYNSYM};
    for (size_t k = 0; k < CG_COUNT(kinds); k++) {
        for (uint32_t i = 0; i < h->e_shnum; i++) {
            Elf64_Shdr table, strings;
            if (!get(f, h->e_shoff + (uint64_t)i * sizeof table, &table, sizeof table)) {
                return CG_EBADFORMAT;
            }
            if (table.sh_type != kinds[k]) {
                continue;
            }
            if (table.sh_link >= h->e_shnum ||
                !get(f, h->e_shoff + (uint64_t)table.sh_link * sizeof strings, &strings,
                     sizeof strings)) {
                return CG_EBADFORMAT;
            }
            return take(f, &table, &strings, out);
        }
    }
    return CG_OK; /* a program without names */
}

static cg_err read_base(const struct file *f, const Elf64_Ehdr *h, struct elf *out)
{
    out->base = UINT64_MAX;
    for (uint32_t i = 0; i < h->e_phnum; i++) {
        Elf64_Phdr p;
        if (!get(f, h->e_phoff + (uint64_t)i * sizeof p, &p, sizeof p)) {
            return CG_EBADFORMAT;
        }
        if (p.p_type == PT_LOAD && p.p_vaddr < out->base) {
            out->base = p.p_vaddr;
        }
    }
    out->base = out->base == UINT64_MAX ? 0 : out->base & ~UINT64_C(4095);
    return CG_OK;
}

cg_err elf_read(const char *data, size_t len, struct elf *out, struct cg_errbuf *eb)
{
    const struct file f = {data, len};
    Elf64_Ehdr h;
    memset(out, 0, sizeof *out);
    if (!get(&f, 0, &h, sizeof h) || memcmp(h.e_ident, ELFMAG, SELFMAG) != 0 ||
        h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_ident[EI_DATA] != ELFDATA2LSB ||
        h.e_shentsize != sizeof(Elf64_Shdr)) {
        return cg_fail(eb, CG_EBADFORMAT, "no 64-bit ELF program");
    }
    out->relocated = h.e_type == ET_DYN;
    cg_err e = read_base(&f, &h, out);
    e = e ? e : read_sections(&f, &h, out);
    if (e) {
        elf_fini(out);
        return cg_fail(eb, e, e == CG_ENOMEM ? "no memory" : "the program's file is cut short");
    }
    return CG_OK;
}

void elf_fini(struct elf *e)
{
    cg_free(e->symbol);
    memset(e, 0, sizeof *e);
}
