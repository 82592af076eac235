/* lasterr: the text of the last error of each process, for /mnt/ns/err. A request fails for a
 * thread; what is kept is found again by its process and by that process's parent, so that a shell
 * (or a command that it runs next) can ask. The oldest text gives way. */
#ifndef COGNU_FUSE_LASTERR_H
#define COGNU_FUSE_LASTERR_H

#include <cognu/base.h>

enum { LASTERR_MAX = 512 }; /* processes that failed lately: more than a person asks about */

struct lasterr;
struct lasterr *lasterr_new(void); /* NULL: no memory */
void lasterr_free(struct lasterr *l);
/* family tells process and parent of a thread; 0: not known. */
struct lasterr_family {
    uint32_t process, parent;
};
struct lasterr_family lasterr_family(uint32_t thread); /* from /proc */
void lasterr_set(struct lasterr *l, struct lasterr_family f, const char *text);
const char *lasterr_get(const struct lasterr *l, struct lasterr_family f); /* NULL: none */

#endif
