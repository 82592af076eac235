/* The boot image: what tools/mkimage.py writes and the loader brings as the first module.
 * Little-endian, in pages of 4096 bytes.
 *
 *   page 0    struct image_header
 *   then      the root task's segments, whole pages, their zeroes written out, so that the kernel
 * needs no ELF then      files, each beginning with a page
 */
#ifndef KERNEL_BOOT_IMAGE_H
#define KERNEL_BOOT_IMAGE_H

#include <stdint.h>

#define IMAGE_MAGIC    0x656761
#define IMAGE_SEGMENTS 6
#define IMAGE_FILES    40
#define IMAGE_NAME     48

struct image_segment {
    uint64_t address; /* page-aligned */
    uint64_t page;    /* first page in the image */
    uint64_t pages;
    uint64_t rights; /* RIGHT_READ, RIGHT_WRITE, RIGHT_EXECUTE; never the last two together */
};

struct image_file {
    char name[IMAGE_NAME]; /* ends in 0 */
    uint64_t page;
    uint64_t bytes;
};

struct image_header {
    uint64_t magic;
    uint64_t pages; /* of the whole image */
    uint64_t entry; /* of the root task */
    uint64_t segments;
    struct image_segment segment[IMAGE_SEGMENTS];
    uint64_t files;
    struct image_file file[IMAGE_FILES];
};

_Static_assert(sizeof(struct image_header) <= 4096, "the header is one page");

#endif
