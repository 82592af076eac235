/* The Linux personality: one program, its memory, its system calls. The program runs in its own
 * address space without any capability; what it asks comes as messages, and each page of it is
 * mapped here too, LINUX_VIEW higher, so its memory is read and written in place.
 *
 * main.c     receives and answers       load.c    the program file and its first stack
 * memory.c   regions and pages          calls.c   the system calls, one function each
 */
#ifndef USER_PERSONALITY_H
#define USER_PERSONALITY_H

#include "boot.h"

#define LINUX_VIEW        0x200000000000ULL /* the program's addresses are below, its pages here above */
#define LINUX_STACK       0x1ffffff00000ULL /* end of its stack */
#define LINUX_MMAP        0x100000000000ULL /* mmap without a wish begins here */
#define LINUX_BASE        0x010000000000ULL /* where a position-independent program is put */
#define LINUX_STACK_BYTES 0x800000ULL

#define PROT_READ  1u
#define PROT_WRITE 2u
#define PROT_EXEC  4u

/* Handles that the personality was started with. LINUX_PARENT is told when the program ends: label
 * 1, word 0 its status. */
#define LINUX_ENDPOINT BOOT_FRAMES /* the program's messages, its badge is LINUX_BADGE */
#define LINUX_PARENT   (BOOT_FRAMES + 1)
#define LINUX_INPUT    (BOOT_FRAMES + 2) /* the driver of the serial line */
#define LINUX_BADGE    1

#define REGIONS_MAX 256u
#define PAGES_MAX   16384u /* a power of two; 64 MiB */

struct region {
    uint64_t first, end; /* whole pages */
    uint32_t prot;
};

struct page {
    uint64_t address; /* 0: the entry is free */
    uint32_t frame;   /* handle mapped in the program, */
    uint32_t view;    /* and here */
};

struct program {
    struct holdings *holdings;
    struct space *own; /* the personality's */
    struct space space;
    uint64_t thread;
    uint64_t brk_first, brk;
    uint64_t mmap_next;
    bool ended;
    int status;
    unsigned regions;
    struct region region[REGIONS_MAX];
    unsigned pages;
    struct page page[PAGES_MAX];
};

/* Memory. All lengths in bytes, whole pages. */
bool memory_add(struct program *p, uint64_t first, uint64_t end, uint32_t prot);
void memory_remove(struct program *p, uint64_t first, uint64_t end);
bool memory_protect(struct program *p, uint64_t first, uint64_t end, uint32_t prot);
uint64_t memory_find(const struct program *p,
                     uint64_t bytes); /* where so much is free; 0: nowhere */
/* The page that an access touches, made when it is one of the program's and not there yet. */
bool memory_touch(struct program *p, uint64_t address, uint32_t prot);
/* The program's bytes, seen from here; NULL when they are not all its own with that protection. */
void *memory_view(struct program *p, uint64_t address, uint64_t bytes, uint32_t prot);

/* Loads the file and sets the thread's registers; false with why when it cannot be run. */
bool load_program(struct program *p, const uint8_t *file, uint64_t bytes, const char *name,
                  const char **why);

/* One system call; the result is what Linux returns, -errno for errors. */
int64_t linux_call(struct program *p, uint64_t number, const uint64_t argument[6]);

#endif
