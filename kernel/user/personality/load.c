/* The program file and its first stack: arguments, environment and the auxiliary vector, as the
 * System V ABI has them. */
#include "arch/regs.h"
#include "elf.h"
#include "personality.h"

#define PAGE      4096ULL
#define ARGUMENTS 16u

enum {
    AT_NULL = 0,
    AT_PHDR = 3,
    AT_PHENT = 4,
    AT_PHNUM = 5,
    AT_PAGESZ = 6,
    AT_BASE = 7,
    AT_FLAGS = 8,
    AT_ENTRY = 9,
    AT_UID = 11,
    AT_EUID = 12,
    AT_GID = 13,
    AT_EGID = 14,
    AT_PLATFORM = 15,
    AT_HWCAP = 16,
    AT_CLKTCK = 17,
    AT_SECURE = 23,
    AT_RANDOM = 25,
    AT_HWCAP2 = 26,
    AT_EXECFN = 31
};
#define HWCAP2_FSGSBASE 2

static uint64_t up(uint64_t x)
{
    return (x + PAGE - 1) & -PAGE;
}

static bool load_segment(struct program *p, const struct elf_segment *s, uint64_t base,
                         const uint8_t *file)
{
    uint32_t prot = PROT_READ | (s->write ? PROT_WRITE : 0) | (s->execute ? PROT_EXEC : 0);
    uint64_t first = (base + s->address) & -PAGE, end = up(base + s->address + s->memory);
    if (!memory_add(p, first, end, prot)) {
        return false;
    }
    void *view = memory_view(p, base + s->address, s->file, PROT_READ);
    if (s->file > 0 && !view) {
        return false;
    }
    memcpy(view, file + s->offset, s->file);
    return true;
}

/* What is put on the stack, from its end downward. */
struct stack {
    struct program *p;
    uint64_t at;
};

static uint64_t push(struct stack *s, const void *bytes, uint64_t count)
{
    s->at -= count;
    void *view = memory_view(s->p, s->at, count, PROT_WRITE);
    if (!view) {
        give_up("write the first stack", 0);
    }
    memcpy(view, bytes, count);
    return s->at;
}

/* Pushes the arguments, the name first; their addresses, and how many. */
static unsigned push_arguments(struct stack *s, const char *name, uint64_t at[ARGUMENTS])
{
    char text[128];
    unsigned count = 1;
    at[0] = push(s, name, strlen(name) + 1);
    while (count < ARGUMENTS && boot_option_at("arg", count - 1, text, sizeof(text))) {
        at[count] = push(s, text, strlen(text) + 1);
        count++;
    }
    return count;
}

static void random_bytes(uint64_t random[2])
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    uint64_t tick = (uint64_t)high << 32 | low;
    random[0] = tick * 0x9e3779b97f4a7c15ULL;
    random[1] = tick * 0xd1342543de82ef95ULL + 1;
}

static uint64_t first_stack(struct program *p, const struct elf *elf, uint64_t base,
                            const char *name)
{
    struct stack s = {.p = p, .at = LINUX_STACK};
    uint64_t random[2], argument[ARGUMENTS], words[ARGUMENTS + 50];
    unsigned n = 0, count = push_arguments(&s, name, argument);
    uint64_t home_at = push(&s, "HOME=/", 7);
    uint64_t path_at = push(&s, "PATH=/bin", 10);
    uint64_t platform_at = push(&s, "x86_64", 7);
    random_bytes(random);
    s.at &= -16ULL;
    uint64_t random_at = push(&s, random, sizeof(random));
    const uint64_t rest[] = {
        0,           home_at,
        path_at,     0,
        AT_PHDR,     base + elf->headers,
        AT_PHENT,    56,
        AT_PHNUM,    elf->header_count,
        AT_PAGESZ,   PAGE,
        AT_BASE,     0,
        AT_FLAGS,    0,
        AT_ENTRY,    base + elf->entry,
        AT_UID,      0,
        AT_EUID,     0,
        AT_GID,      0,
        AT_EGID,     0,
        AT_SECURE,   0,
        AT_CLKTCK,   100,
        AT_HWCAP,    0x078bfbff,
        AT_HWCAP2,   HWCAP2_FSGSBASE,
        AT_RANDOM,   random_at,
        AT_PLATFORM, platform_at,
        AT_EXECFN,   argument[0],
        AT_NULL,     0,
    };
    _Static_assert(sizeof(rest) / 8 < 50, "the words have room");
    words[n++] = count;
    memcpy(&words[n], argument, count * 8ULL);
    n += count;
    memcpy(&words[n], rest, sizeof(rest));
    n += sizeof(rest) / 8;
    s.at -= (s.at - n * 8ULL) % 16;
    return push(&s, words, n * 8ULL);
}

bool load_program(struct program *p, const uint8_t *file, uint64_t bytes, const char *name,
                  const char **why)
{
    struct elf elf;
    if (!elf_read(file, bytes, LINUX_BASE, &elf, why)) {
        return false;
    }
    uint64_t base = elf.movable ? LINUX_BASE : 0;
    *why = "its segments do not fit";
    for (unsigned i = 0; i < elf.segments; i++) {
        if (!load_segment(p, &elf.segment[i], base, file)) {
            return false;
        }
    }
    p->brk_first = p->brk = base + elf.end + 16 * PAGE;
    p->mmap_next = LINUX_MMAP;
    *why = "there is no room for its stack";
    if (!memory_add(p, LINUX_STACK - LINUX_STACK_BYTES, LINUX_STACK, PROT_READ | PROT_WRITE)) {
        return false;
    }
    uint64_t sp = first_stack(p, &elf, base, name);
    *why = "its thread cannot be set up";
    return thread_write(p->thread, R_RIP, base + elf.entry, 1, &sp) == 0;
}
