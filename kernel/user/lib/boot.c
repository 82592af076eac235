/* The root task's inheritance: see boot.h. */
#include "boot.h"

void boot_holdings(struct holdings *h)
{
    const struct boot_info *info = boot_info();
    console = BOOT_MONITOR;
    *h = (struct holdings){.cnode = BOOT_CNODE, .slots = info->slots, .free_slot = info->free_slot};
    for (uint64_t i = 0; i < info->untypeds; i++) {
        const struct boot_untyped *u = &info->untyped[i];
        struct range *r = &h->range[u->kind];
        if (u->count > r->count) {
            *r = (struct range){
                .untyped = u->slot, .first = u->first, .count = u->count, .used = u->used};
        }
    }
}

void boot_space(struct space *s)
{
    s->handle = BOOT_SPACE;
    s->tables = 0;
    space_knows(s, 3, BOOT_TEXT, BOOT_TABLE_3);
    space_knows(s, 2, BOOT_TEXT, BOOT_TABLE_2);
    space_knows(s, 2, BOOT_IMAGE, BOOT_TABLE_I);
    space_knows(s, 1, BOOT_TEXT, BOOT_TABLE_1);
}

const uint8_t *boot_file(const char *name, uint64_t *bytes)
{
    const struct image_header *image = (const struct image_header *)BOOT_IMAGE;
    for (uint64_t i = 0; i < image->files && i < IMAGE_FILES; i++) {
        if (text_equal(image->file[i].name, name)) {
            *bytes = image->file[i].bytes;
            return (const uint8_t *)BOOT_IMAGE + image->file[i].page * 4096;
        }
    }
    return NULL;
}

bool boot_option(const char *name, char *value, size_t size)
{
    return boot_option_at(name, 0, value, size);
}

bool boot_option_at(const char *name, unsigned number, char *value, size_t size)
{
    const char *line = boot_info()->line;
    size_t n = strlen(name);
    while (*line) {
        if (memcmp(line, name, n) == 0 && line[n] == '=' && number-- == 0) {
            size_t k = 0;
            for (line += n + 1; *line && *line != ' ' && k + 1 < size; line++) {
                value[k++] = *line;
            }
            value[k] = 0;
            return true;
        }
        while (*line && *line != ' ') {
            line++;
        }
        while (*line == ' ') {
            line++;
        }
    }
    return false;
}
