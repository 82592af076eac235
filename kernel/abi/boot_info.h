/* What the root task finds at BOOT_INFO when it starts, and where its first capabilities are. The
 * kernel writes it once, at boot.
 *
 * Everything that exists is in the root task's cnode: its own parts in the slots named here, the
 * rest as untyped ranges, listed in the information. The boot image is mapped at BOOT_IMAGE, to be
 * read only; its form is in boot_image.h.
 */
#ifndef KERNEL_BOOT_INFO_H
#define KERNEL_BOOT_INFO_H

#include <stdint.h>

#define BOOT_MAGIC 0x31756e676f63ULL

#define BOOT_CNODE        1 /* slots of the root task's cnode */
#define BOOT_SPACE        2
#define BOOT_THREAD       3
#define BOOT_CONTEXT      4
#define BOOT_MONITOR      5
#define BOOT_TABLE_3      6 /* page tables: of the first 512 GiB, */
#define BOOT_TABLE_2      7 /* of the first GiB, */
#define BOOT_TABLE_I      8 /* of the second, where the boot image is mapped, */
#define BOOT_TABLE_1      9 /* and of 0x400000 .. 0x5fffff */
#define BOOT_UNTYPED      16
#define BOOT_UNTYPEDS_MAX 24
#define BOOT_FRAMES                                                                                \
    40 /* the root task's frames, information and stack first, then its segments, then the image's \
        */

#define BOOT_TEXT        0x400000ULL /* where the root task is linked */
#define BOOT_STACK       0x5f0000ULL
#define BOOT_STACK_PAGES 12u
#define BOOT_INFO        0x5ff000ULL
#define BOOT_IMAGE       0x40000000ULL
#define BOOT_LINE        256

struct boot_untyped {
    uint64_t slot, kind;
    uint64_t first, count; /* in units of the kind */
    uint64_t used;         /* of them, from the first on, what was made before the start */
};

struct boot_info {
    uint64_t magic;
    uint64_t ticks_per_us;             /* of the time that the kernel knows, which is RDTSC's */
    uint64_t slots;                    /* of the root task's cnode */
    uint64_t free_slot;                /* the first that holds nothing; all behind it are empty */
    uint64_t image_bytes;              /* 0: there is none */
    uint64_t image_slot, image_frames; /* its frames of 2 MiB */
    uint64_t
        segment_frames; /* slots of the segments' frames: from BOOT_FRAMES + 1 + BOOT_STACK_PAGES */
    uint64_t window;    /* 1: built with the Meltdown window */
    uint64_t untypeds;
    struct boot_untyped untyped[BOOT_UNTYPEDS_MAX];
    char line[BOOT_LINE]; /* the command line */
};

#endif
