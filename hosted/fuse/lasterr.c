/* lasterr: see lasterr.h. */
#include "lasterr.h"

#include <stdio.h>
#include <string.h>

struct entry {
    uint32_t process; /* 0: empty */
    uint64_t when;    /* counts up */
    char text[CG_DETAIL_BYTES];
};

struct lasterr {
    uint64_t now;
    struct entry entries[LASTERR_MAX];
};

struct lasterr *lasterr_new(void)
{
    return cg_zalloc(sizeof(struct lasterr));
}

void lasterr_free(struct lasterr *l)
{
    cg_free(l);
}

struct lasterr_family lasterr_family(uint32_t thread)
{
    struct lasterr_family f = {0};
    char path[40], line[128];
    snprintf(path, sizeof(path), "/proc/%u/status", thread);
    FILE *file = thread ? fopen(path, "re") : NULL;
    while (file && !f.parent && fgets(line, sizeof(line), file)) {
        if (sscanf(line, "Tgid: %u", &f.process) != 1) {
            sscanf(line, "PPid: %u", &f.parent);
        }
    }
    if (file) {
        fclose(file);
    }
    return f;
}

static struct entry *slot_for(struct lasterr *l, uint32_t process)
{
    struct entry *oldest = &l->entries[0];
    for (size_t i = 0; i < LASTERR_MAX; i++) {
        struct entry *e = &l->entries[i];
        if (e->process == process) {
            return e;
        }
        if (e->when < oldest->when) {
            oldest = e;
        }
    }
    return oldest;
}

static void set_one(struct lasterr *l, uint32_t process, const char *text)
{
    if (process > 1) { /* nobody asks on behalf of init */
        struct entry *e = slot_for(l, process);
        e->process = process;
        e->when = ++l->now;
        snprintf(e->text, sizeof(e->text), "%s", text);
    }
}

void lasterr_set(struct lasterr *l, struct lasterr_family f, const char *text)
{
    set_one(l, f.process, text);
    set_one(l, f.parent, text);
}

const char *lasterr_get(const struct lasterr *l, struct lasterr_family f)
{
    const char *of_parent = NULL;
    for (size_t i = 0; i < LASTERR_MAX; i++) {
        const struct entry *e = &l->entries[i];
        if (e->process != 0 && e->process == f.process) {
            return e->text;
        }
        if (e->process != 0 && e->process == f.parent) {
            of_parent = e->text;
        }
    }
    return of_parent;
}
