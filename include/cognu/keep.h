/* keep: what must outlive a component is held by init: descriptors, each under a name, and among
 * them memory (memfds, see book.h). The idea is systemd's store of descriptors.
 *
 * A component whose manifest says `keep N` is started with `--keep FD`, a socket of its own to
 * init. Over it it puts, gets and drops; its successor has the same shelf. A shelf belongs to the
 * component's manifest: it lives as long as init does, whoever comes and goes.
 *
 *   request    verb ('p' put, 'g' get, 'd' drop, 'c' clear) and the name; put brings a descriptor
 *   reply      u32 error code, then the detail text; get brings a descriptor
 *
 * SEQPACKET, little-endian, one reply a request, in order. Init answers at once, so a component
 * waits for it.
 */
#ifndef COGNU_KEEP_H
#define COGNU_KEEP_H

#include <cognu/base.h>

enum {
    KEEP_NAME_BYTES_MAX = 63,
    KEEP_FDS_MAX = 4096, /* the most that a manifest can ask for: two a namespace of an adapter */
    KEEP_WAIT_MS = 5000, /* for init's answer: it is slow only when the machine is */
};

/* ---- a component's side ---- */

struct keep;

/* Takes `--keep FD` out of the arguments, if it is there, and gives the shelf; NULL: nobody keeps
 * anything for this process. Every function below takes NULL: nothing is found, the rest succeeds
 * and does nothing. */
struct keep *keep_from_args(int *argc, char **argv);
/* Takes fd. NULL: no memory. */
struct keep *keep_new(int fd);
void keep_free(struct keep *k);
/* Gives a descriptor, close-on-exec; CG_ENOENT: nothing has that name. */
cg_err keep_get(struct keep *k, const char *name, int *fd, struct cg_errbuf *eb);
/* Shares fd: init holds a duplicate from now on, in the place of what had the name. CG_ELIMIT: more
 * than the manifest says. CG_EMANIFEST: memory beyond the manifest's `memory`, or not sealed. */
cg_err keep_put(struct keep *k, const char *name, int fd, struct cg_errbuf *eb);
cg_err keep_drop(struct keep *k, const char *name,
                 struct cg_errbuf *eb); /* also what is not there */
cg_err keep_clear(struct keep *k, struct cg_errbuf *eb);

/* Memory for a book of that size: what was kept under name, else new, which is then kept. *fd is
 * -1 where nobody keeps anything. */
cg_err keep_memory(struct keep *k, const char *name, uint64_t bytes, int *fd, struct cg_errbuf *eb);

/* The book that was kept under name, else an empty one, which is then kept; config's fd is not
 * looked at. One that cannot be adopted is refused: an error in the log says why, and the component
 * begins anew. anew: as if nothing were there, for who finds his own records damaged. */
struct book;
struct book_config;
cg_err keep_book(struct keep *k, const char *name, const struct book_config *config, bool anew,
                 struct book **out, struct cg_errbuf *eb);

/* ---- init's side ---- */

struct keep_shelf {
    struct cg_list items;
    uint32_t count, fds_max;
    uint64_t bytes, bytes_max; /* of memory, in whole, whether it is used or not */
};
void keep_shelf_init(struct keep_shelf *s, uint32_t fds_max, uint64_t bytes_max);
void keep_shelf_clear(struct keep_shelf *s);
/* Answers one request that waits on the socket, without blocking. False: none waits, or the other
 * end is gone. */
bool keep_shelf_serve(struct keep_shelf *s, int sock);

#endif
