/* The image: three parts, each in large pages of its own, so that each gets its own rights. The stack begins the writable part:
 * what runs over its end meets the read-only part below. */
#include "layout.h"
ENTRY(boot_start)
PHDRS
{
    text PT_LOAD FLAGS(5);
    constants PT_LOAD FLAGS(4);
    data PT_LOAD FLAGS(6);
    note PT_NOTE FLAGS(4);
}
SECTIONS
{
    . = IMAGE_BASE + IMAGE_START;
    image_text = .;
    .text : AT(ADDR(.text) - IMAGE_BASE)
    {
        *(.text.boot)
        . = ALIGN(4096);
        window_text = .;
        *(.text.window)
        . = ALIGN(4096);
        window_text_end = .;
        *(.text .text.*)
    } :text
    . = ALIGN(LARGE_PAGE);
    image_constants = .;
    .rodata : AT(ADDR(.rodata) - IMAGE_BASE) { *(.rodata .rodata.*) } :constants
    .note.pvh : AT(ADDR(.note.pvh) - IMAGE_BASE) { KEEP(*(.note.pvh)) } :constants :note
    . = ALIGN(LARGE_PAGE);
    image_data = .;
    .data : AT(ADDR(.data) - IMAGE_BASE)
    {
        *(.data.stack)
        . = ALIGN(4096);
        window_data = .;
        *(.data.window)
        . = ALIGN(4096);
        window_data_end = .;
        *(.data .data.*)
    } :data
    .bss : AT(ADDR(.bss) - IMAGE_BASE) { *(.bss .bss.*) *(COMMON) } :data
    . = ALIGN(LARGE_PAGE);
    image_end = .;
    phys = PHYS_BASE;
    /DISCARD/ : { *(.comment) *(.eh_frame) *(.note.gnu.*) *(.note.GNU-stack) }
}
